"""Services act as the roles that they are given, or by the policies of what they act on."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local_aws.server import LocalAws
from tests.support.access import ACCOUNT, document, make_role
from tests.support.gateway import zipped
from tests.support.sagemaker import IMAGE, await_job, put_model
from tests.support.workflow import Workflows, job

SAGEMAKER = {"Service": "sagemaker.amazonaws.com"}


def allow(*actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"}


def role_for_sagemaker(aws: LocalAws, *actions: str) -> str:
    return make_role(aws.context, f"r-{uuid4().hex[:8]}", SAGEMAKER, statements=[allow(*actions)])


def run_job(aws: LocalAws, role: str) -> dict[str, Any]:
    sagemaker = aws.context.client("sagemaker")
    request = job(RoleArn=role)
    sagemaker.create_training_job(**request)
    return await_job(sagemaker, request["TrainingJobName"])


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("ecr:BatchGetImage", "ecr:BatchGetImage on resource: arn:aws:ecr:"),
        ("logs:CreateLogStream", "logs:CreateLogStream on resource: arn:aws:logs:"),
        ("cloudwatch:PutMetricData", "cloudwatch:PutMetricData on resource: *"),
        ("s3:ListBucket", "s3:ListBucket on resource"),
        ("s3:GetObject", "s3:GetObject on resource"),
        ("s3:PutObject", "s3:PutObject on resource"),
    ],
)
def test_a_job_does_everything_as_its_role(workflows: Workflows, missing: str, named: str) -> None:
    deny = {"Effect": "Deny", "Action": missing, "Resource": "*"}
    role = make_role(
        workflows.aws.context, f"r-{uuid4().hex[:8]}", SAGEMAKER, statements=[allow("*"), deny]
    )
    found = run_job(workflows.aws, role)
    assert found["TrainingJobStatus"] == "Failed"
    assert named in found["FailureReason"]


def test_a_job_needs_no_more_than_this(workflows: Workflows) -> None:
    role = role_for_sagemaker(
        workflows.aws,
        *("s3:ListBucket", "s3:GetObject", "s3:PutObject"),
        *("ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"),
        *("ecr:GetDownloadUrlForLayer", "logs:CreateLogGroup", "logs:CreateLogStream"),
        *("logs:DescribeLogStreams", "logs:PutLogEvents", "cloudwatch:PutMetricData"),
    )
    assert run_job(workflows.aws, role)["TrainingJobStatus"] == "Completed"


def test_a_model_needs_a_role_that_may_read_it(workflows: Workflows) -> None:
    aws = workflows.aws
    sagemaker, s3 = aws.context.client("sagemaker"), aws.context.client("s3")
    name = f"m-{uuid4().hex[:8]}"
    put_model(s3, sagemaker, name)
    container = sagemaker.describe_model(ModelName=name)["PrimaryContainer"]
    blind = role_for_sagemaker(aws, "ecr:*")
    with pytest.raises(ClientError, match="Could not access model data"):
        sagemaker.create_model(ModelName="x", ExecutionRoleArn=blind, PrimaryContainer=container)
    pulls_nothing = role_for_sagemaker(aws, "s3:*")
    with pytest.raises(ClientError, match="ecr:GetAuthorizationToken"):
        sagemaker.create_model(
            ModelName="x", ExecutionRoleArn=pulls_nothing, PrimaryContainer={"Image": IMAGE}
        )


def test_a_state_machine_acts_as_its_role(workflows: Workflows) -> None:
    states = workflows.states
    role = make_role(
        workflows.aws.context,
        "machine",
        {"Service": "states.amazonaws.com"},
        statements=[allow("s3:GetObject")],
    )
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": workflows.function, "Payload": {}},
        "End": True,
    }
    machine = states.create_state_machine(
        name=f"m-{uuid4().hex[:8]}",
        definition=json.dumps({"StartAt": "Call", "States": {"Call": task}}),
        roleArn=role,
    )["stateMachineArn"]
    found = workflows.run(machine)
    assert found["status"] == "FAILED"
    assert "assumed-role/machine/StepFunctions is not authorized" in found["cause"]
    make_role(
        workflows.aws.context,
        "machine",
        {"Service": "states.amazonaws.com"},
        statements=[allow("lambda:InvokeFunction")],
    )
    assert workflows.run(machine)["status"] == "SUCCEEDED"


def test_a_rule_invokes_a_function_only_by_the_functions_own_policy(workflows: Workflows) -> None:
    client = workflows.aws.context.client("lambda")
    machine = workflows.create("Fail", Fail={"Type": "Fail", "Error": "E", "Cause": "c"})
    workflows.report_broken(machine)
    name = {"FunctionName": workflows.function_name}
    client.remove_permission(StatementId="events", **name)
    workflows.calls()
    workflows.run(machine)
    time.sleep(0.5)
    assert workflows.calls() == []
    permission = {"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    client.add_permission(StatementId="events", **permission, **name)
    workflows.run(machine)
    deadline = time.monotonic() + 10
    while not (calls := workflows.calls()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert calls[0]["detail"]["stateMachineArn"] == machine


def test_a_role_must_trust_the_service_that_it_is_for(workflows: Workflows) -> None:
    role = make_role(workflows.aws.context, "of-nobody", SAGEMAKER)
    with pytest.raises(ClientError, match="no role trust policy"):
        workflows.states.create_state_machine(name="m", definition="{}", roleArn=role)


def _trust_only(workflows: Workflows, name: str, service: str, source_arn: str) -> str:
    """The ARN of a role that a service may assume for one resource of this account."""
    role = make_role(workflows.aws.context, name, {"Service": service})
    conditions = {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": source_arn},
    }
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": conditions,
    }
    workflows.aws.context.client("iam").update_assume_role_policy(
        RoleName=name, PolicyDocument=document(trust)
    )
    return role


def test_step_functions_says_for_which_state_machine_it_assumes_a_role(
    workflows: Workflows,
) -> None:
    name = f"m-{uuid4().hex[:8]}"
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{name}"
    role = _trust_only(workflows, "only-machine", "states.amazonaws.com", arn)
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": workflows.function, "Payload": {}},
        "End": True,
    }
    definition = json.dumps({"StartAt": "Call", "States": {"Call": task}})
    create = workflows.states.create_state_machine
    with pytest.raises(ClientError, match="no role trust policy"):
        create(name="other", definition=definition, roleArn=role)
    machine = create(name=name, definition=definition, roleArn=role)["stateMachineArn"]
    assert machine == arn
    assert workflows.run(machine)["status"] == "SUCCEEDED"
    _trust_only(workflows, "only-machine", "states.amazonaws.com", f"{arn}-not")
    assert "no role trust policy" in workflows.run(machine)["cause"]


@pytest.mark.parametrize(
    ("group", "trusted"), [("default", True), ("another", False), ("default/switch", False)]
)
def test_scheduler_says_for_which_group_it_assumes_a_role(
    workflows: Workflows, group: str, trusted: bool
) -> None:
    source = f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/{group}"
    role = _trust_only(workflows, "only-schedule", "scheduler.amazonaws.com", source)
    schedule = {
        "Name": f"s-{uuid4().hex[:8]}",
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": workflows.function, "RoleArn": role},
    }
    client = workflows.aws.context.client("scheduler")
    if trusted:
        client.create_schedule(**schedule)
    else:
        with pytest.raises(ClientError, match="no role trust policy"):
            client.create_schedule(**schedule)


def test_lambda_says_nothing_of_the_function_when_it_assumes_its_role(
    workflows: Workflows,
) -> None:
    """AWS documents no such key, so a role that asks for one fails here before it does there."""
    role = _trust_only(workflows, "only-function", "lambda.amazonaws.com", "*")
    with pytest.raises(ClientError, match="no role trust policy"):
        workflows.aws.context.client("lambda").create_function(
            FunctionName="conditional",
            Runtime="python3.13",
            Role=role,
            Handler="handler.handler",
            Code={"ZipFile": zipped({"handler.py": ""})},
        )


@pytest.mark.parametrize("kind", ["model", "training-job"])
def test_sagemaker_says_for_what_it_assumes_a_role(workflows: Workflows, kind: str) -> None:
    sagemaker = workflows.aws.context.client("sagemaker")
    name = f"only-{uuid4().hex[:8]}"

    def create(role: str) -> None:
        if kind == "model":
            container = {"Image": IMAGE}
            sagemaker.create_model(
                ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container
            )
        else:
            sagemaker.create_training_job(**{**job(RoleArn=role), "TrainingJobName": name})

    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:{kind}/"
    service = SAGEMAKER["Service"]
    with pytest.raises(ClientError, match="no role trust policy"):
        create(_trust_only(workflows, "only-sagemaker", service, f"{arn}another"))
    create(_trust_only(workflows, "only-sagemaker", service, f"{arn}{name}"))
    if kind == "training-job":
        assert await_job(sagemaker, name)["TrainingJobStatus"] == "Completed"
