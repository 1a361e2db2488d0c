"""What state machines and EventBridge rules rely on: moto's interpreter as the adapter bends it.

Each test fails with plain moto.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from local_aws.server import LocalAws
from tests.unit.sagemaker_support import BUCKET, IMAGE, ROLE, wait_until

RECORDER = """
import json, os, boto3

def handler(event, context):
    boto3.client("s3").put_object(
        Bucket="artifacts",
        Key=f"calls/{context.function_name}/{context.aws_request_id}",
        Body=json.dumps(event),
    )
    if event.get("explode"):
        raise RuntimeError("boom")
    return {"seen": event}
"""
PROGRAM = """
import os, pathlib, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
time.sleep(float(os.environ.get("SECONDS", "0")))
(base / "model/x").write_text("1")
"""


class Workflows:
    """State machines, a Lambda function that records its events, and jobs to run."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.states = aws.context.client("stepfunctions")
        self.s3 = aws.context.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_object(Bucket=BUCKET, Key="program/main.py", Body=PROGRAM)
        name = f"recorder-{uuid4().hex[:8]}"
        iam = aws.context.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("handler.py", RECORDER)
        self.role = role
        self.function_name = name
        self.function = aws.context.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="handler.handler",
            Role=role,
            Timeout=30,
            Code={"ZipFile": code.getvalue()},
        )["FunctionArn"]

    def create(self, start: str, **states: Any) -> str:
        definition = {"StartAt": start, "States": states}
        return str(
            self.states.create_state_machine(
                name=f"m-{uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=self.role
            )["stateMachineArn"]
        )

    def start(self, machine: str, **state: Any) -> str:
        started = self.states.start_execution(
            stateMachineArn=machine, name=uuid4().hex, input=json.dumps(state)
        )
        return str(started["executionArn"])

    def wait(self, execution: str, timeout: float = 20) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = self.states.describe_execution(executionArn=execution)
            return None if found["status"] == "RUNNING" else found

        return wait_until(ended, timeout)

    def run(self, machine: str, **state: Any) -> dict[str, Any]:
        found = self.wait(self.start(machine, **state))
        return {**found, "output": json.loads(found.get("output", "null"))}

    def calls(self) -> list[dict[str, Any]]:
        """Every event that the recorder got since it was last asked."""
        prefix = f"calls/{self.function_name}/"
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        events = []
        for item in sorted(found, key=lambda item: item["LastModified"]):
            body = self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            events.append(json.loads(body))
            self.s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        return events


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as local:
        yield local


@pytest.fixture(scope="module")
def workflows(aws: LocalAws) -> Workflows:
    return Workflows(aws)


def job(**members: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": f"job-{uuid4().hex[:8]}",
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/main.py"],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [
            {
                "ChannelName": "code",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{BUCKET}/program/",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {
            "InstanceType": "ml.c6i.xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 100},
        "Environment": {},
        **members,
    }


CREATE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:sagemaker:createTrainingJob",
    # One field by its path: "RoleArn" is also a word of the states language.
    "Parameters": {
        "RoleArn.$": "$.job.RoleArn",
        **{f"{name}.$": f"$.job.{name}" for name in job() if name != "RoleArn"},
    },
    "ResultPath": None,
}
DESCRIBE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeTrainingJob",
    "Parameters": {"TrainingJobName.$": "$.job.TrainingJobName"},
    "ResultPath": "$.described",
}
STOP = {**DESCRIBE, "Resource": "arn:aws:states:::aws-sdk:sagemaker:stopTrainingJob"}


def test_a_machine_bakes_waits_and_calls_its_function(workflows: Workflows) -> None:
    machine = workflows.create(
        "Create",
        Create={**CREATE, "Next": "Wait"},
        Wait={"Type": "Wait", "Seconds": 1, "Next": "Describe"},
        Describe={**DESCRIBE, "Next": "Ended"},
        Ended={
            "Type": "Choice",
            "Choices": [
                {
                    "Not": {
                        "Variable": "$.described.TrainingJobStatus",
                        "StringEquals": "InProgress",
                    },
                    "Next": "Finish",
                },
                {
                    "Variable": "$$.State.EnteredTime",
                    "TimestampGreaterThanPath": "$.deadline",
                    "Next": "Stop",
                },
            ],
            "Default": "Wait",
        },
        Stop={**STOP, "Next": "Finish"},
        Finish={
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {
                "FunctionName": workflows.function,
                "Payload": {"job.$": "$.described"},
            },
            "OutputPath": "$.Payload",
            "End": True,
        },
    )
    began = time.monotonic()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    found = workflows.run(machine, job=job(), deadline=later)
    assert found["status"] == "SUCCEEDED"
    assert time.monotonic() - began >= 1
    described = found["output"]["seen"]["job"]
    assert described["TrainingJobStatus"] == "Completed"
    # Times are strings in states, as on AWS.
    assert datetime.fromisoformat(described["CreationTime"]).tzinfo is not None
    (event,) = workflows.calls()
    assert event["job"]["TrainingJobName"] == described["TrainingJobName"]

    late = job(Environment={"SECONDS": "60"})
    for past in ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123456+00:00"):
        late["TrainingJobName"] = f"late-{uuid4().hex[:8]}"
        found = workflows.run(machine, job=late, deadline=past)
        assert found["status"] == "SUCCEEDED"
        described = workflows.aws.context.client("sagemaker").describe_training_job(
            TrainingJobName=late["TrainingJobName"]
        )
        assert described["TrainingJobStatus"] in {"Stopping", "Stopped"}
    workflows.calls()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, "SageMaker.ResourceInUseException"),
        ({"ResourceConfig": {"InstanceType": "ml.nope"}}, "SageMaker.SageMakerException"),
    ],
)
def test_errors_are_caught_by_aws_names(
    workflows: Workflows, change: dict[str, Any], name: str
) -> None:
    request = job(**change)
    if not change:
        workflows.aws.context.client("sagemaker").create_training_job(**request)
    machine = workflows.create(
        "Create",
        Create={
            **CREATE,
            "Catch": [{"ErrorEquals": [name], "ResultPath": "$.error", "Next": "Caught"}],
            "Next": "Created",
        },
        Caught={"Type": "Succeed"},
        Created={"Type": "Fail", "Error": "NotCaught"},
    )
    found = workflows.run(machine, job=request)
    assert found["status"] == "SUCCEEDED", found
    assert found["output"]["error"]["Error"] == name
    assert "Service: SageMaker" in found["output"]["error"]["Cause"]


def test_an_error_of_a_function_is_caught_by_its_type(workflows: Workflows) -> None:
    machine = workflows.create(
        "Call",
        Call={
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": workflows.function, "Payload": {"explode": True}},
            "Retry": [{"ErrorEquals": ["RuntimeError"], "IntervalSeconds": 1, "MaxAttempts": 1}],
            "Catch": [{"ErrorEquals": ["RuntimeError"], "Next": "Caught"}],
            "End": True,
        },
        Caught={"Type": "Succeed"},
    )
    found = workflows.run(machine)
    assert found["output"]["Error"] == "RuntimeError"
    assert json.loads(found["output"]["Cause"])["errorMessage"] == "boom"
    assert len(workflows.calls()) == 2


WAIT = {"Type": "Wait", "Seconds": 60, "End": True}


@pytest.mark.parametrize("preparation", [0, 0.3])
def test_a_stopped_execution_is_aborted_even_at_once(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch, preparation: float
) -> None:
    prepare = ExecutionWorker._get_evaluation_entrypoint

    def slowly(self: ExecutionWorker) -> Any:
        time.sleep(preparation)
        return prepare(self)

    monkeypatch.setattr(ExecutionWorker, "_get_evaluation_entrypoint", slowly)
    machine = workflows.create("Wait", Wait=WAIT)
    execution = workflows.start(machine)
    workflows.states.stop_execution(executionArn=execution)
    assert workflows.wait(execution, 5)["status"] == "ABORTED"


def test_an_execution_that_is_stopped_within_a_task_is_aborted(workflows: Workflows) -> None:
    machine = workflows.create(
        "One",
        **{
            name: {**DESCRIBE, "ResultPath": None, "Next": next_name}
            for name, next_name in (("One", "Two"), ("Two", "One"))
        },
    )
    request = job()
    workflows.aws.context.client("sagemaker").create_training_job(**request)
    for pause in (0.02, 0.05, 0.1, 0.2):
        execution = workflows.start(machine, job=request)
        time.sleep(pause)
        workflows.states.stop_execution(executionArn=execution)
        assert workflows.wait(execution, 5)["status"] == "ABORTED"


def test_executions_have_names_of_their_own(workflows: Workflows) -> None:
    machine = workflows.create("Done", Done={"Type": "Succeed"})
    started = [workflows.states.start_execution(stateMachineArn=machine) for _ in range(2)]
    arns = {execution["executionArn"] for execution in started}
    assert len(arns) == 2
    assert not any(arn.endswith(":None") for arn in arns)


def test_a_name_starts_one_execution(workflows: Workflows) -> None:
    machine = workflows.create("Wait", Wait=WAIT)
    first = workflows.states.start_execution(stateMachineArn=machine, name="once", input="{}")
    again = workflows.states.start_execution(stateMachineArn=machine, name="once", input="{}")
    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(ClientError) as raised:
        workflows.states.start_execution(stateMachineArn=machine, name="once", input='{"other": 1}')
    assert raised.value.response["Error"]["Code"] == "ExecutionAlreadyExists"
    workflows.states.stop_execution(executionArn=first["executionArn"])


def test_the_end_of_an_execution_reaches_matching_rules(workflows: Workflows) -> None:
    machine = workflows.create(
        "Choose",
        Choose={
            "Type": "Choice",
            "Choices": [{"Variable": "$.fail", "BooleanEquals": True, "Next": "Failed"}],
            "Default": "Done",
        },
        Failed={"Type": "Fail", "Error": "Broken", "Cause": "on purpose"},
        Done={"Type": "Succeed"},
    )
    events = workflows.aws.context.client("events")
    name = f"rule-{uuid4().hex[:8]}"
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [machine], "status": ["FAILED", "TIMED_OUT", "ABORTED"]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": workflows.function}])
    workflows.calls()
    assert workflows.run(machine, fail=False)["status"] == "SUCCEEDED"
    execution = workflows.start(machine, fail=True)
    (event,) = wait_until(workflows.calls)
    assert event["source"] == "aws.states"
    assert event["resources"] == [execution]
    detail = event["detail"]
    assert (detail["status"], detail["error"], detail["cause"]) == (
        "FAILED",
        "Broken",
        "on purpose",
    )
    assert json.loads(detail["input"]) == {"fail": True}
    assert detail["executionArn"] == execution

    events.disable_rule(Name=name)
    workflows.wait(workflows.start(machine, fail=True))
    time.sleep(0.3)
    assert workflows.calls() == []


def test_rules_without_a_pattern_get_no_events(workflows: Workflows) -> None:
    events = workflows.aws.context.client("events")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    events.put_targets(Rule="nightly", Targets=[{"Id": "1", "Arn": workflows.function}])
    machine = workflows.create("Done", Done={"Type": "Succeed"})
    workflows.calls()
    workflows.run(machine)
    time.sleep(0.3)
    assert workflows.calls() == []
    events.remove_targets(Rule="nightly", Ids=["1"])
