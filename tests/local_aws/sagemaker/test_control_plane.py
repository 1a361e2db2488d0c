"""SageMaker's resources are accepted, refused, described and listed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from uuid import uuid4

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.sagemaker.resources import has_local_storage
from local_aws.server import LocalAws
from local_aws.service_models import compile_pattern, service_model
from tests.support.access import sign
from tests.support.sagemaker import BUCKET, IMAGE, ROLE, put_config, put_model


@pytest.fixture
def model(aws: LocalAws, sagemaker: BaseClient) -> str:
    name = f"model-{uuid4().hex[:8]}"
    put_model(aws.context.client("s3"), sagemaker, name)
    return name


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**request)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_model_can_be_described_listed_and_deleted(sagemaker: BaseClient, model: str) -> None:
    found = sagemaker.describe_model(ModelName=model)
    assert found["ModelArn"] == f"arn:aws:sagemaker:us-east-1:123456789012:model/{model}"
    assert found["PrimaryContainer"]["Image"] == IMAGE
    assert [m["ModelName"] for m in sagemaker.list_models(NameContains=model)["Models"]] == [model]
    sagemaker.delete_model(ModelName=model)
    assert refusal(sagemaker.describe_model, ModelName=model) == (
        "ValidationException",
        f'Could not find model "{found["ModelArn"]}".',
    )


def test_a_model_whose_artifact_is_absent_is_refused(sagemaker: BaseClient) -> None:
    for url in (f"s3://{BUCKET}/absent.tar.gz", "s3://absent-bucket/model.tar.gz"):
        code, message = refusal(
            sagemaker.create_model,
            ModelName="absent",
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url},
        )
        assert code == "ValidationException"
        assert message.startswith(f"Could not access model data at {url}.")


def test_a_model_of_uncompressed_files_is_refused(sagemaker: BaseClient) -> None:
    source = {"S3Uri": f"s3://{BUCKET}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    code, message = refusal(
        sagemaker.create_model,
        ModelName="files",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}},
    )
    assert (code, "give a ModelDataUrl" in message) == ("ValidationException", True)


def test_a_taken_name_is_refused(aws: LocalAws, sagemaker: BaseClient, model: str) -> None:
    code, message = refusal(
        lambda: put_model(aws.context.client("s3"), sagemaker, model),
    )
    assert code == "ValidationException"
    assert message.startswith("Cannot create already existing model")


@pytest.mark.parametrize(
    ("name", "constraint"),
    [
        ("under_score", "satisfy regular expression pattern"),
        ("dot.dot", "satisfy regular expression pattern"),
        ("end-", "satisfy regular expression pattern"),
        ("x" * 64, "have length less than or equal to 63"),
    ],
)
def test_names_follow_sagemakers_rules(
    sagemaker: BaseClient, model: str, name: str, constraint: str
) -> None:
    code, message = refusal(lambda: put_config(sagemaker, name, model))
    assert code == "ValidationException"
    assert "at 'endpointConfigName' failed to satisfy constraint" in message
    assert constraint in message


def test_every_error_in_a_request_is_named(sagemaker: BaseClient, model: str) -> None:
    code, message = refusal(
        lambda: put_config(sagemaker, "a_b", model, InstanceType="ml.c99.huge", VolumeSizeInGB=600)
    )
    assert code == "ValidationException"
    assert message.startswith("3 validation errors detected: ")
    assert "at 'productionVariants.1.member.instanceType'" in message
    assert "have value less than or equal to 512" in message


def test_a_missing_member_is_named_as_sagemaker_names_it(aws: LocalAws) -> None:
    document = _post(aws, "CreateEndpoint", {"EndpointName": "e"})
    assert document == {
        "__type": "ValidationException",
        "message": "1 validation error detected: Value null at 'endpointConfigName' failed to "
        "satisfy constraint: Member must not be null",
    }


def test_a_wrong_type_is_a_serialization_error(aws: LocalAws) -> None:
    document = _post(aws, "DescribeModel", {"ModelName": 5})
    assert document["__type"] == "SerializationException"


def test_an_unknown_action_is_refused_by_name(aws: LocalAws) -> None:
    document = _post(aws, "CreateNotebookInstance", {})
    assert document["__type"] == "UnknownOperationException"
    assert "CreateNotebookInstance" in document["message"]


def _post(aws: LocalAws, action: str, request: dict[str, Any]) -> dict[str, Any]:
    headers = {"X-Amz-Target": f"SageMaker.{action}", "Content-Type": "application/x-amz-json-1.1"}
    body = json.dumps(request).encode()
    headers = sign(aws.context, "sagemaker", "POST", "/", body, headers)
    call = urllib.request.Request(aws.endpoint_url, body, headers)
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(call)
    assert raised.value.code == 400
    return json.loads(raised.value.read())


@pytest.mark.parametrize(
    ("instance_type", "local"),
    [
        ("ml.g5.2xlarge", True),
        ("ml.g6e.xlarge", True),
        ("ml.g4dn.2xlarge", True),
        ("ml.c6id.xlarge", True),
        ("ml.p5en.48xlarge", True),
        ("ml.c6i.xlarge", False),
        ("ml.p3.2xlarge", False),
        ("ml.m5.large", False),
    ],
)
def test_families_with_local_storage(instance_type: str, local: bool) -> None:
    assert has_local_storage(instance_type) is local


def test_local_storage_takes_no_volume_size_or_key(sagemaker: BaseClient, model: str) -> None:
    code, message = refusal(
        lambda: put_config(
            sagemaker, "nvme", model, InstanceType="ml.g5.2xlarge", VolumeSizeInGB=30
        )
    )
    assert code == "ValidationException"
    assert message == "VolumeSizeInGB is not supported for the instance type ml.g5.2xlarge."
    code, message = refusal(
        sagemaker.create_endpoint_config,
        EndpointConfigName="nvme",
        KmsKeyId="key",
        ProductionVariants=[
            {
                "VariantName": "v",
                "ModelName": model,
                "InstanceType": "ml.g5.2xlarge",
                "InitialInstanceCount": 1,
            }
        ],
    )
    assert message == "KmsKeyId is not supported for the instance type ml.g5.2xlarge."


def test_a_configuration_needs_its_model(sagemaker: BaseClient) -> None:
    code, message = refusal(lambda: put_config(sagemaker, "orphan", "no-such-model"))
    assert code == "ValidationException"
    assert message.startswith('Could not find model "arn:aws:sagemaker:')


def test_lists_come_in_pages(sagemaker: BaseClient, model: str) -> None:
    prefix = f"page-{uuid4().hex[:6]}"
    names = [f"{prefix}-{number}" for number in range(5)]
    for name in names:
        put_config(sagemaker, name, model)
    found: list[str] = []
    for page in sagemaker.get_paginator("list_endpoint_configs").paginate(
        NameContains=prefix, SortBy="Name", SortOrder="Ascending", MaxResults=2
    ):
        assert len(page["EndpointConfigs"]) <= 2
        found += [config["EndpointConfigName"] for config in page["EndpointConfigs"]]
    assert found == names


def test_every_pattern_of_the_actions_requests_can_be_checked() -> None:
    actions = (
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
        "UpdateEndpoint",
        "CreateTrainingJob",
        "CreateTransformJob",
    )
    pending = [service_model("sagemaker").operation_model(action).input_shape for action in actions]
    seen: set[str] = set()
    while pending:
        shape = pending.pop()
        if shape.name in seen:
            continue
        seen.add(shape.name)
        if "pattern" in shape.metadata:
            compile_pattern(shape.metadata["pattern"])
        pending += getattr(shape, "members", {}).values()
        parts = [getattr(shape, part, None) for part in ("member", "key", "value")]
        pending += [part for part in parts if part is not None]
    assert "TagValue" in seen
