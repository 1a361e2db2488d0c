"""State machines of this project: how they log, and who is told of one that breaks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.common.policies import wildcards


def workflow(
    scope: Construct,
    *,
    name: str,
    definition: Path,
    role: iam.Role,
    literals: Mapping[str, str] | None = None,
    substitutions: Mapping[str, str] | None = None,
    include_execution_data: bool = False,
    logs_id: str = "Logs",
) -> sfn.StateMachine:
    """The state machine `StateMachine` in `scope`, traced, with a log group of its own.

    definition: a file in the Amazon States Language. Its `${Partition}` and what `literals` name
        are put in at synth, what `substitutions` name by CloudFormation.
    include_execution_data: whether inputs and outputs are logged.
    logs_id: construct id of the log group.
    """
    text = definition.read_text(encoding="utf-8")
    for key, value in {"Partition": cdk.Stack.of(scope).partition, **(literals or {})}.items():
        text = text.replace(f"${{{key}}}", value)
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
            destination=logs.LogGroup(
                scope,
                logs_id,
                # Step Functions delivers to groups below this prefix without a resource policy
                # of their own, of which an account may have only ten.
                log_group_name=f"/aws/vendedlogs/states/{name}",
                retention=logs.RetentionDays.THREE_MONTHS,
                # A kept group of this name would be in the way of the next deployment.
                removal_policy=cdk.RemovalPolicy.DESTROY,
            ),
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
    """The function gets the event of each execution that fails, times out or is aborted."""
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
