"""State machines of this project: their logs, and what happens when an execution breaks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.common.arns import state_machine_arn
from stacks.common.policies import only_for, wildcards
from stacks.common.stage_stack import StageStack


def workflow(
    scope: Construct,
    *,
    name: str,
    definition: Path,
    policy_name: str,
    statements: Sequence[iam.PolicyStatement],
    literals: Mapping[str, str] | None = None,
    substitutions: Mapping[str, str] | None = None,
    parameters: Mapping[str, Mapping[str, str]] | None = None,
    include_execution_data: bool = False,
    role_id: str = "StateMachineRole",
    logs_id: str = "Logs",
) -> sfn.StateMachine:
    """Adds the state machine `StateMachine` to `scope`, traced, with its own log group and role.

    Args:
        definition: a file in the Amazon States Language. Synth replaces its `${Partition}` and the
            names in `literals`; CloudFormation replaces the names in `substitutions`.
        parameters: what the states in the definition are given besides, by state.
        policy_name: of the role's inline policy, which holds the `statements`.
        include_execution_data: whether inputs and outputs are logged.
        role_id, logs_id: construct ids.
    """
    text = definition.read_text(encoding="utf-8")
    for key, value in {"Partition": cdk.Stack.of(scope).partition, **(literals or {})}.items():
        text = text.replace(f"${{{key}}}", value)
    if parameters:
        edited = json.loads(text)
        for state, more in parameters.items():
            edited["States"][state]["Parameters"] |= more
        text = json.dumps(edited, indent=2)
    role = iam.Role(
        scope,
        role_id,
        assumed_by=only_for("states.amazonaws.com", state_machine_arn(scope, name)),
        inline_policies={policy_name: iam.PolicyDocument(statements=list(statements))},
    )
    wildcards(role, {"*": "Step Functions' log deliveries and X-Ray's traces have no ARN."})
    return sfn.StateMachine(
        scope,
        "StateMachine",
        state_machine_name=name,
        definition_body=sfn.DefinitionBody.from_string(text),
        definition_substitutions=substitutions,
        role=role,
        tracing_enabled=True,
        logs=sfn.LogOptions(
            # Step Functions delivers to groups below this prefix without a separate resource
            # policy, of which an account may have only ten.
            destination=StageStack.log_group(scope, logs_id, name=f"/aws/vendedlogs/states/{name}"),
            level=sfn.LogLevel.ALL,
            include_execution_data=include_execution_data,
        ),
    )


def hand_broken_executions_to(
    function: lambda_.IFunction,
    scope: Construct,
    state_machine: sfn.StateMachine,
    *,
    description: str,
) -> None:
    """Sends the function an event for each execution that fails, times out or is aborted."""
    events.Rule(
        scope,
        "BrokenExecution",
        description=description,
        event_pattern=events.EventPattern(
            source=["aws.states"],
            detail_type=["Step Functions Execution Status Change"],
            detail={
                "stateMachineArn": [state_machine.state_machine_arn],
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            },
        ),
        targets=[targets.LambdaFunction(function)],
    )
