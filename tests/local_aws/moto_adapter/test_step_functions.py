"""What state machines rely on: moto's interpreter with the adapter's patches.

Each test fails with plain moto.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.gateway import create_function
from tests.support.workflow import CREATE, DESCRIBE, STOP, Workflows, job


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


def test_errors_of_transform_jobs_have_awss_names(workflows: Workflows) -> None:
    states: dict[str, Any] = {}
    for action in ("describeTransformJob", "stopTransformJob"):
        states[action] = {
            "Type": "Task",
            "Resource": f"arn:aws:states:::aws-sdk:sagemaker:{action}",
            "Parameters": {"TransformJobName": "absent"},
            "Catch": [
                {
                    "ErrorEquals": [
                        "SageMaker.ResourceNotFoundException",
                        "SageMaker.SageMakerException",
                    ],
                    "Next": "stopTransformJob" if action.startswith("describe") else "Caught",
                }
            ],
            "End": True,
        }
    machine = workflows.create("describeTransformJob", **states, Caught={"Type": "Succeed"})
    found = workflows.run(machine)
    assert found["status"] == "SUCCEEDED", found
    assert "absent" in found["output"]["Cause"]


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


def test_a_function_is_called_in_a_loop_that_hands_on_a_cursor(workflows: Workflows) -> None:
    code = """
def handler(event, context):
    seen = (event["cursor"] or {"seen": 0})["seen"] + 1
    return {"seen": seen, "done": seen == 3, "name": event["name"]}
"""
    counting = create_function(workflows.aws, "counting", code, Role=workflows.role)
    machine = workflows.create(
        "Begin",
        Begin={
            "Type": "Pass",
            "Parameters": {"batch.$": "$", "split": {"cursor": None}},
            "Next": "Split",
        },
        Split={
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {
                "FunctionName": counting,
                "Payload": {"cursor.$": "$.split.cursor", "name.$": "$$.Execution.Name"},
            },
            "ResultSelector": {"cursor.$": "$.Payload"},
            "ResultPath": "$.split",
            "Next": "IsSplit",
        },
        IsSplit={
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.split.cursor.done", "BooleanEquals": False, "Next": "Split"},
                {"Variable": "$.split.cursor.seen", "NumericGreaterThan": 2, "Next": "Wait"},
            ],
            "Default": "Split",
        },
        Wait={"Type": "Wait", "SecondsPath": "$.batch.seconds", "End": True},
    )
    began = time.monotonic()
    found = workflows.run(machine, seconds=1)
    assert found["status"] == "SUCCEEDED", found
    assert found["output"] == {
        "batch": {"seconds": 1},
        "split": {"cursor": {"seen": 3, "done": True, "name": found["name"]}},
    }
    assert time.monotonic() - began >= 1


def test_refusals_of_cloudformation_differ_in_their_messages(workflows: Workflows) -> None:
    update = {"StackName": "absent", "UsePreviousTemplate": True}
    machine = workflows.create(
        "Update",
        Update={
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:cloudformation:updateStack",
            "Parameters": update,
            "Catch": [
                {
                    "ErrorEquals": ["CloudFormation.CloudFormationException"],
                    "ResultPath": "$.error",
                    "Next": "WhyNot",
                }
            ],
            "End": True,
        },
        WhyNot={
            "Type": "Choice",
            "Choices": [
                {
                    "Variable": "$.error.Cause",
                    "StringMatches": "*does not exist*",
                    "Next": "Absent",
                }
            ],
            "Default": "Other",
        },
        Absent={"Type": "Succeed"},
        Other={"Type": "Fail", "Error": "Other"},
    )
    assert workflows.run(machine)["status"] == "SUCCEEDED"
