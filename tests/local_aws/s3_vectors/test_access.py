"""Who may use S3 Vectors, and its keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.server import LocalAws
from tests.support.access import ACCOUNT, EVERYTHING, document, make_role, role_session
from tests.support.gateway import create_function
from tests.support.workflow import Workflows

ARN = f"arn:aws:s3vectors:us-east-1:{ACCOUNT}:bucket/guarded"
INDEX = f"{ARN}/index/one"
SHAPE: dict[str, Any] = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}
ASKED: dict[str, Any] = {"indexArn": INDEX, "topK": 1, "queryVector": {"float32": [1.0, 0.0]}}


@pytest.fixture(scope="module", autouse=True)
def bucket(aws: LocalAws) -> Iterator[None]:
    client = aws.context.client("s3vectors")
    client.create_vector_bucket(vectorBucketName="guarded")
    client.create_index(vectorBucketName="guarded", indexName="one", **SHAPE)
    row = {"key": "a", "data": {"float32": [1.0, 0.0]}, "metadata": {"category": "x"}}
    client.put_vectors(indexArn=INDEX, vectors=[row])
    yield


def allow(*actions: str, resource: str = INDEX, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return str(error["Message"])


def error_code(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_filters_and_metadata_need_a_permission_more(aws: LocalAws) -> None:
    client = role_session(aws, allow("s3vectors:QueryVectors"))("s3vectors")
    assert client.query_vectors(**ASKED)["vectors"] == [{"key": "a"}]
    for more in ({"returnMetadata": True}, {"filter": {"category": "x"}}):
        message = refusal(client.query_vectors, **ASKED, **more)
        assert f"not authorized to perform: s3vectors:GetVectors on resource: {INDEX}" in message
    both = role_session(aws, allow("s3vectors:QueryVectors", "s3vectors:GetVectors"))("s3vectors")
    found = both.query_vectors(**ASKED, returnMetadata=True, filter={"category": "x"})["vectors"]
    assert found == [{"key": "a", "metadata": {"category": "x"}}]


def test_names_and_arns_are_the_same_resource(aws: LocalAws) -> None:
    client = role_session(aws, allow("s3vectors:GetIndex", "s3vectors:CreateIndex"))("s3vectors")
    client.get_index(vectorBucketName="guarded", indexName="one")
    for named in ({"vectorBucketName": "guarded"}, {"vectorBucketArn": ARN}):
        message = refusal(client.create_index, indexName="two", **named, **SHAPE)
        assert f"s3vectors:CreateIndex on resource: {ARN}/index/two" in message


def test_a_bucket_policy_denies(aws: LocalAws) -> None:
    client, admin = role_session(aws, EVERYTHING)("s3vectors"), aws.context.client("s3vectors")
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3vectors:*Vectors", "Resource": "*"}
    admin.put_vector_bucket_policy(vectorBucketName="guarded", policy=document(denial))
    assert "explicit deny in a resource-based policy" in refusal(client.query_vectors, **ASKED)
    admin.delete_vector_bucket_policy(vectorBucketName="guarded")
    client.query_vectors(**ASKED)


def test_how_a_bucket_is_encrypted_can_be_a_condition(aws: LocalAws) -> None:
    only = {"StringEquals": {"s3vectors:sseType": "aws:kms"}}
    client = role_session(
        aws,
        allow("s3vectors:CreateVectorBucket", resource="*", **only),
        allow("kms:*", resource="*"),
    )("s3vectors")
    refusal(client.create_vector_bucket, vectorBucketName="plain")
    key = aws.context.client("kms").create_key()["KeyMetadata"]["Arn"]
    client.create_vector_bucket(
        vectorBucketName="sealed",
        encryptionConfiguration={"sseType": "aws:kms", "kmsKeyArn": key},
    )
    aws.context.client("s3vectors").delete_vector_bucket(vectorBucketName="sealed")


def test_keys(aws: LocalAws) -> None:
    kms, admin = aws.context.client("kms"), aws.context.client("s3vectors")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    sealed = {"sseType": "aws:kms", "kmsKeyArn": key}
    index = f"arn:aws:s3vectors:us-east-1:{ACCOUNT}:bucket/keyed/index/one"
    given = {"vectorBucketName": "keyed", "indexName": "one", **SHAPE}
    admin.create_vector_bucket(vectorBucketName="keyed", encryptionConfiguration=sealed)
    # The service itself has to read what it keeps in order.
    assert refusal(admin.create_index, **given) == (
        "Insufficient access to perform asynchronous indexing"
    )
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    policy["Statement"].append(
        {
            "Effect": "Allow",
            "Principal": {"Service": "indexing.s3vectors.amazonaws.com"},
            "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3vectors:us-east-1:{ACCOUNT}:bucket/*"},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ForAnyValue:StringEquals": {
                    "kms:EncryptionContextKeys": [
                        "aws:s3vectors:arn",
                        "aws:s3vectors:resource-id",
                    ]
                },
            },
        }
    )
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    admin.create_index(**given)

    def client(*actions: str) -> Any:
        via = {"StringEquals": {"kms:ViaService": "s3vectors.us-east-1.amazonaws.com"}}
        names = [f"kms:{action}" for action in actions]
        keys = [allow(*names, resource=key, **via)] if names else []
        return role_session(aws, allow("s3vectors:*", resource="*"), *keys)("s3vectors")

    rows = [{"key": "a", "data": {"float32": [1.0, 0.0]}}]
    written = {"indexArn": index, "vectors": rows}
    asked = {**ASKED, "indexArn": index}
    assert f"kms:GenerateDataKey on resource: {key}" in refusal(client().put_vectors, **written)
    assert "kms:Decrypt" in refusal(client("GenerateDataKey").put_vectors, **written)
    client("GenerateDataKey", "Decrypt").put_vectors(**written)
    assert "kms:Decrypt" in refusal(client().query_vectors, **asked)
    assert "kms:Decrypt" in refusal(client().get_vectors, indexArn=index, keys=["a"])
    assert client("Decrypt").query_vectors(**asked)["vectors"] == [{"key": "a"}]
    client().get_index(indexArn=index)
    kms.schedule_key_deletion(KeyId=key.rpartition("/")[2])
    assert error_code(admin.put_vectors, **written) == "KmsInvalidStateException"
    client().delete_index(indexArn=index)
    admin.delete_vector_bucket(vectorBucketName="keyed")


def test_functions_call_it_as_their_roles(aws: LocalAws) -> None:
    code = "import boto3\ndef handler(e, c): return boto3.client('s3vectors').query_vectors(**e)"
    role = make_role(
        aws.context,
        "searcher",
        {"Service": "lambda.amazonaws.com"},
        statements=[allow("s3vectors:QueryVectors")],
    )
    create_function(aws, "searcher", code, Role=role)

    def call(**event: Any) -> Any:
        answer = aws.context.client("lambda").invoke(
            FunctionName="searcher", Payload=json.dumps(event)
        )
        return json.load(answer["Payload"])

    assert call(**ASKED)["vectors"] == [{"key": "a"}]
    assert "s3vectors:GetVectors" in call(**ASKED, returnMetadata=True)["errorMessage"]


def test_state_machines_call_it_and_catch_its_errors(workflows: Workflows) -> None:
    create = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3vectors:createIndex",
        "Parameters": {
            "VectorBucketName": "guarded",
            "IndexName.$": "$.name",
            "DataType": "float32",
            "Dimension": 2,
            "DistanceMetric": "cosine",
            "MetadataConfiguration": {"NonFilterableMetadataKeys": ["text"]},
        },
        "ResultPath": "$.made",
        "Catch": [{"ErrorEquals": ["S3Vectors.ConflictException"], "Next": "There"}],
        "End": True,
    }
    machine = workflows.create("Create", Create=create, There={"Type": "Pass", "End": True})
    made = workflows.run(machine, name="by-machine")["output"]["made"]
    assert made == {"IndexArn": f"{ARN}/index/by-machine"}
    again = workflows.run(machine, name="by-machine")
    assert again["status"] == "SUCCEEDED"
    assert again["output"]["Error"] == "S3Vectors.ConflictException"
