"""The validator finds what botocore accepts."""

from __future__ import annotations

import pytest

from tests.support.model_validator import check_request

STOP = ("sagemaker", "StopTrainingJob")


def create(**changes):
    return {
        "TrainingJobName": "job-1",
        "RoleArn": "arn:aws:iam::123456789012:role/Execution",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/key"},
        **changes,
    }


def test_a_good_request_has_no_violation():
    assert check_request("sagemaker", "CreateTrainingJob", create()) == []
    invoke = {"EndpointName": "e", "Body": "{}", "ContentType": "application/json"}
    assert check_request("sagemaker-runtime", "InvokeEndpoint", invoke) == []
    assert check_request("sts", "GetCallerIdentity", {}) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"TrainingJobName": "job_1"}, "satisfy regular expression pattern"),
        ({"TrainingJobName": "job-"}, "satisfy regular expression pattern"),
        ({"TrainingJobName": "j" * 64}, "less than or equal to 63"),
        ({"RoleArn": "x"}, "valid min length: 20"),
        ({"ResourceConfig": {"InstanceType": "ml.c6i.huge"}}, "satisfy enum value set"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "valid min value: 1"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": "60"}}, "Invalid type"),
        ({"HyperParameters": {"k": "v" * 2501}}, "less than or equal to 2500"),
        ({"HyperParameters": {f"{n}": "v" for n in range(101)}}, "at 'hyperParameters'"),
        ({"HyperParameters": {"k" * 257: "v"}}, "at 'hyperParameters.key'"),
        ({"InputDataConfig": []}, "Invalid length for parameter InputDataConfig"),
        ({"Unknown": 1}, "Unknown parameter"),
        ({"OutputDataConfig": {}}, "Missing required parameter"),
    ],
)
def test_each_kind_of_violation_is_named(changes, named):
    violations = check_request("sagemaker", "CreateTrainingJob", create(**changes))
    assert any(named in violation for violation in violations), violations


def test_a_body_is_measured_in_bytes():
    body = {"EndpointName": "e", "Body": "ж" * 3_200_000}
    assert check_request("sagemaker-runtime", "InvokeEndpoint", body) == [
        "Value '...' at 'body' failed to satisfy constraint: Member must have length less than or "
        "equal to 6291456"
    ]


def test_an_operation_without_parameters_takes_none():
    assert check_request("sts", "GetCallerIdentity", {"A": 1}) != []
