"""S3 Vectors, as botocore's client sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import numpy as np
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from local_aws.context import client_options
from local_aws.server import LocalAws
from local_aws.service_models import service_model

# What names the operation in the request's path or query.
GIVEN: dict[str, Any] = {
    "TagResource": {"resourceArn": "arn:x"},
    "UntagResource": {"resourceArn": "arn:x", "tagKeys": ["a"]},
    "ListTagsForResource": {"resourceArn": "arn:x"},
    "ListVectorBuckets": {"maxResults": 0},
}


@pytest.fixture(scope="module")
def vectors(aws: LocalAws) -> Any:
    # The service has to check what botocore's client would.
    context = aws.context
    options = client_options(
        context.endpoint_url, context.region, context.administrator, parameter_validation=False
    )
    client = boto3.client("s3vectors", **options)
    client.meta.events.register("before-parse.s3vectors", check_answer)
    return client


def check_answer(operation_model: Any, response_dict: Any, **_: Any) -> None:
    """Each answer has what botocore's model says, and nothing else."""
    body = json.loads(response_dict["body"])
    if response_dict["status_code"] == 200:
        assert unlike(operation_model.output_shape, body) == []
    else:
        code = response_dict["headers"]["x-amzn-ErrorType"]
        if code not in {"UnknownOperationException", "SerializationException"}:
            (shape,) = [each for each in operation_model.error_shapes if each.name == code]
            assert unlike(shape, body) == []
            status = shape.metadata.get("error", {}).get("httpStatusCode", 400)
            assert response_dict["status_code"] == status


def unlike(shape: Any, value: Any, path: str = "") -> list[str]:
    """Where a value differs from its shape."""
    if shape.type_name == "structure" and not shape.is_document_type:
        found = [f"{path}.{name}" for name in set(value) - set(shape.members)]
        found += [f"{path}.{name}" for name in shape.required_members if value.get(name) is None]
        for name, item in value.items():
            if name in shape.members:
                found += unlike(shape.members[name], item, f"{path}.{name}")
        return found
    if shape.type_name == "list":
        return [each for item in value for each in unlike(shape.member, item, path)]
    python = {"string": str, "float": (int, float), "integer": int, "timestamp": (int, float)}
    right = isinstance(value, python.get(shape.type_name, object))
    return [] if right else [f"{path}: {value!r}"]


@pytest.fixture
def bucket(vectors: Any) -> Iterator[str]:
    name = f"bucket-{uuid4().hex[:8]}"
    vectors.create_vector_bucket(vectorBucketName=name)
    yield name
    for index in vectors.list_indexes(vectorBucketName=name)["indexes"]:
        vectors.delete_index(indexArn=index["indexArn"])
    vectors.delete_vector_bucket(vectorBucketName=name)


@pytest.fixture
def index(vectors: Any, bucket: str) -> str:
    return make_index(vectors, bucket)


def make_index(vectors: Any, bucket: str, **options: Any) -> str:
    given = {
        "indexName": f"index-{uuid4().hex[:8]}",
        "dataType": "float32",
        "dimension": 3,
        "distanceMetric": "cosine",
        "metadataConfiguration": {"nonFilterableMetadataKeys": ["text"]},
        **options,
    }
    return str(vectors.create_index(vectorBucketName=bucket, **given)["indexArn"])


def put(vectors: Any, index: str, *rows: Any) -> None:
    vectors.put_vectors(
        indexArn=index,
        vectors=[
            {"key": key, "data": {"float32": list(numbers)}, "metadata": metadata}
            for key, numbers, metadata in rows
        ],
    )


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_has_the_operations_of_the_model(vectors: Any) -> None:
    """Those about the modes of indexes and full-text search are refused by name."""
    refused = {
        name
        for name in service_model("s3vectors").operation_names
        if refusal(getattr(vectors, xform_name(name)), **GIVEN.get(name, {}))[0]
        == "UnknownOperationException"
    }
    assert refused == {
        "PutVectorBucketDefaultIndexMode",
        "UpdateIndexMode",
        "UpdateMetadataConfiguration",
    }


def test_buckets(vectors: Any, bucket: str) -> None:
    found = vectors.get_vector_bucket(vectorBucketName=bucket)["vectorBucket"]
    assert found["vectorBucketArn"] == f"arn:aws:s3vectors:us-east-1:123456789012:bucket/{bucket}"
    assert found["encryptionConfiguration"] == {"sseType": "AES256"}
    assert found["creationTime"].tzinfo is not None
    code, _ = refusal(vectors.create_vector_bucket, vectorBucketName=bucket)
    assert code == "ConflictException"
    names = [each["vectorBucketName"] for each in vectors.list_vector_buckets()["vectorBuckets"]]
    assert bucket in names
    page = vectors.list_vector_buckets(prefix=bucket, maxResults=1)
    assert [each["vectorBucketName"] for each in page["vectorBuckets"]] == [bucket]
    assert "nextToken" not in page


@pytest.mark.parametrize("name", ["Upper", "under_score", "dot.ted", "-edge", "edge-"])
def test_bucket_names(vectors: Any, name: str) -> None:
    code, message = refusal(vectors.create_vector_bucket, vectorBucketName=name)
    assert (code, message) == ("ValidationException", "Invalid vector bucket name")


def test_a_bucket_with_indexes_stays(vectors: Any, bucket: str, index: str) -> None:
    code, message = refusal(vectors.delete_vector_bucket, vectorBucketName=bucket)
    assert (code, message) == ("ConflictException", "The specified vector bucket is not empty")


def test_policies(vectors: Any, bucket: str) -> None:
    code, _ = refusal(vectors.get_vector_bucket_policy, vectorBucketName=bucket)
    assert code == "NotFoundException"
    vectors.put_vector_bucket_policy(vectorBucketName=bucket, policy='{"Statement": []}')
    found = vectors.get_vector_bucket_policy(vectorBucketName=bucket)
    assert json.loads(found["policy"]) == {"Statement": []}
    vectors.delete_vector_bucket_policy(vectorBucketName=bucket)
    assert refusal(vectors.get_vector_bucket_policy, vectorBucketName=bucket)[0] == code
    bad = refusal(vectors.put_vector_bucket_policy, vectorBucketName=bucket, policy="{")
    assert bad[0] == "ValidationException"


def test_tags(vectors: Any, bucket: str, index: str) -> None:
    vectors.tag_resource(resourceArn=index, tags={"a": "1", "b": "2"})
    vectors.untag_resource(resourceArn=index, tagKeys=["a"])
    assert vectors.list_tags_for_resource(resourceArn=index)["tags"] == {"b": "2"}
    arn = index.replace("/index/", "/index/no-")
    assert refusal(vectors.list_tags_for_resource, resourceArn=arn)[0] == "NotFoundException"


def test_indexes(vectors: Any, bucket: str, index: str) -> None:
    name = index.rpartition("/")[2]
    found = vectors.get_index(vectorBucketName=bucket, indexName=name)["index"]
    assert {key: value for key, value in found.items() if key != "creationTime"} == {
        "vectorBucketName": bucket,
        "indexName": name,
        "indexArn": index,
        "dataType": "float32",
        "dimension": 3,
        "distanceMetric": "cosine",
        "encryptionConfiguration": {"sseType": "AES256"},
        "metadataConfiguration": {"nonFilterableMetadataKeys": ["text"]},
        "indexMode": "ENHANCED",
    }
    assert refusal(make_index, vectors=vectors, bucket=bucket, indexName=name)[0] == (
        "ConflictException"
    )
    both = refusal(vectors.get_index, vectorBucketName=bucket, indexArn=index)
    assert both[0] == "ValidationException"
    vectors.delete_index(indexArn=index)
    assert refusal(vectors.get_index, indexArn=index)[0] == "NotFoundException"


@pytest.mark.parametrize(
    "options",
    [
        {"indexName": "Upper"},
        {"dimension": 0},
        {"dimension": 4097},
        {"distanceMetric": "dot"},
        {"metadataConfiguration": {"nonFilterableMetadataKeys": [f"k{n}" for n in range(11)]}},
        {"metadataConfiguration": {"nonFilterableMetadataKeys": ["k" * 64]}},
        {"metadataConfiguration": {"textSearchConfigurations": [{"metadataKey": "text"}]}},
        {"encryptionConfiguration": {"sseType": "aws:kms"}},
    ],
)
def test_invalid_indexes(vectors: Any, bucket: str, options: dict[str, Any]) -> None:
    assert refusal(make_index, vectors=vectors, bucket=bucket, **options)[0] == (
        "ValidationException"
    )


def test_vectors(vectors: Any, index: str) -> None:
    put(vectors, index, ("a", [1, 0, 0], {"n": 1, "text": "A"}), ("b", [0, 0.1, 0], {}))
    put(vectors, index, ("a", [0.25, 0.5, 0.1], {"n": 2}))
    found = vectors.get_vectors(
        indexArn=index, keys=["a", "none"], returnData=True, returnMetadata=True
    )["vectors"]
    expected = [float(np.float32(x)) for x in (0.25, 0.5, 0.1)]
    assert [float(np.float32(x)) for x in found[0]["data"]["float32"]] == expected
    assert [(each["key"], each["metadata"]) for each in found] == [("a", {"n": 2})]
    assert vectors.get_vectors(indexArn=index, keys=["b"])["vectors"] == [{"key": "b"}]
    vectors.delete_vectors(indexArn=index, keys=["a", "none"])
    assert vectors.list_vectors(indexArn=index)["vectors"] == [{"key": "b"}]


def test_lists_in_pages_and_segments(vectors: Any, index: str) -> None:
    put(vectors, index, *((f"k{n}", [1, n, 0], {}) for n in range(10)))
    pages = vectors.get_paginator("list_vectors").paginate(indexArn=index, maxResults=3)
    found = [each["key"] for page in pages for each in page["vectors"]]
    assert found == [f"k{n}" for n in range(10)]
    parts = [
        {
            each["key"]
            for each in vectors.list_vectors(indexArn=index, segmentCount=3, segmentIndex=number)[
                "vectors"
            ]
        }
        for number in range(3)
    ]
    assert set.union(*parts) == set(found)
    assert sum(map(len, parts)) == 10
    bad = refusal(vectors.list_vectors, indexArn=index, segmentCount=2, segmentIndex=2)
    assert bad[0] == "ValidationException"
    assert refusal(vectors.list_vectors, indexArn=index, nextToken="x")[0] == "ValidationException"


def test_a_page_of_a_list_holds_about_a_megabyte(vectors: Any, bucket: str) -> None:
    index = make_index(vectors, bucket, dimension=4096)
    numbers = [0.5] * 4096
    put(vectors, index, *((f"k{n}", numbers, {}) for n in range(100)))
    page = vectors.list_vectors(indexArn=index)
    assert 60 < len(page["vectors"]) < 70
    assert page["nextToken"]


@pytest.mark.parametrize(
    ("numbers", "metadata", "why"),
    [
        ([1, 2], {}, "vector must have length 3, but has length 2"),
        ([0, 0, 0], {}, "cosine distance does not support vectors with zero norm"),
        ([1, 1e39, 0], {}, "vector must only contain finite float32 values"),
        ([1, 0, 0], {"a": "x" * 2100}, "Filterable metadata must have at most 2048 bytes"),
        ([1, 0, 0], {"text": "x" * 41_000}, "Total metadata must have at most 40960 bytes"),
        ([1, 0, 0], {f"k{n}": 1 for n in range(51)}, "Metadata object must have at most 50 keys"),
        ([1, 0, 0], {"a": {"b": 1}}, "Metadata 'a' must be"),
        ([1, 0, 0], {"a": None}, "Metadata 'a' must be"),
        ([1, 0, 0], {"a": [["b"]]}, "Metadata 'a' must be"),
    ],
)
def test_invalid_vectors(
    vectors: Any, index: str, numbers: list[float], metadata: dict[str, Any], why: str
) -> None:
    with pytest.raises(ClientError) as caught:
        put(vectors, index, ("good", [1, 0, 0], {}), ("bad", numbers, metadata))
    response = caught.value.response
    assert response["Error"]["Code"] == "ValidationException"
    assert response["Error"]["Message"].startswith(f"Invalid record for key 'bad': {why}")
    assert response["fieldList"][0]["path"].startswith("vectors[1].")
    assert vectors.list_vectors(indexArn=index)["vectors"] == []


def test_requests_beyond_the_limits(vectors: Any, index: str) -> None:
    row = {"data": {"float32": [1.0, 0.0, 0.0]}}
    many = [{"key": str(n), **row} for n in range(501)]
    assert refusal(vectors.put_vectors, indexArn=index, vectors=many)[0] == "ValidationException"
    twice = [{"key": "a", **row}] * 2
    assert refusal(vectors.put_vectors, indexArn=index, vectors=twice)[0] == "ValidationException"
    long = [{"key": "k" * 1025, **row}]
    assert refusal(vectors.put_vectors, indexArn=index, vectors=long)[0] == "ValidationException"
    keys = [str(n) for n in range(101)]
    assert refusal(vectors.get_vectors, indexArn=index, keys=keys)[0] == "ValidationException"
    text = {"text": "x" * 40_000}
    large = [{"key": str(n), **row, "metadata": text} for n in range(500)]
    large[0]["metadata"] = {"text": "x" * 1_600_000}
    message = refusal(vectors.put_vectors, indexArn=index, vectors=large)[1]
    assert message == "Request payload must have at most 20 MiB"


def test_queries_are_exact(vectors: Any, bucket: str) -> None:
    generator = np.random.default_rng(0)
    data = generator.standard_normal((400, 16)).astype(np.float32)
    query = generator.standard_normal(16).astype(np.float32)
    for metric in ("cosine", "euclidean"):
        index = make_index(vectors, bucket, dimension=16, distanceMetric=metric)
        put(vectors, index, *((f"k{n}", map(float, row), {}) for n, row in enumerate(data)))
        vectors.delete_vectors(indexArn=index, keys=["k0", "k1"])
        rows, one = data[2:].astype(float), query.astype(float)
        expected = (
            1 - rows @ one / np.linalg.norm(rows, axis=1) / np.linalg.norm(one)
            if metric == "cosine"
            else np.linalg.norm(rows - one, axis=1)
        )
        pages = vectors.get_paginator("query_vectors").paginate(
            indexArn=index,
            topK=250,
            queryVector={"float32": list(map(float, query))},
            returnDistance=True,
        )
        answers = list(pages)
        assert [len(page["vectors"]) for page in answers] == [100, 100, 50]
        assert {page["distanceMetric"] for page in answers} == {metric}
        found = [each for page in answers for each in page["vectors"]]
        assert [each["key"] for each in found] == [f"k{n + 2}" for n in np.argsort(expected)[:250]]
        distances = [each["distance"] for each in found]
        assert distances == pytest.approx(np.sort(expected)[:250], abs=1e-6)
        assert set(found[0]) == {"key", "distance"}


def test_queries_return_metadata_of_what_passes_the_filter(vectors: Any, index: str) -> None:
    put(
        vectors,
        index,
        ("a", [1, 0, 0], {"category": "x", "text": "A"}),
        ("b", [1, 0.1, 0], {"category": "y", "text": "B"}),
        ("c", [1, 0.2, 0], {}),
    )
    found = vectors.query_vectors(
        indexArn=index,
        topK=5,
        queryVector={"float32": [1.0, 0.0, 0.0]},
        filter={"category": {"$in": ["y"]}},
        returnMetadata=True,
    )
    assert found["vectors"] == [{"key": "b", "metadata": {"category": "y", "text": "B"}}]
    assert vectors.query_vectors(indexArn=index, topK=5, queryVector={"float32": [1.0, 0.0, 0.0]})[
        "vectors"
    ] == [{"key": key} for key in "abc"]


def test_an_empty_index_answers_with_nothing(vectors: Any, index: str) -> None:
    found = vectors.query_vectors(indexArn=index, topK=5, queryVector={"float32": [1.0, 0.0, 0.0]})
    assert found["vectors"] == []


@pytest.mark.parametrize(
    "options",
    [
        {"topK": 10_001},
        {"topK": 0},
        {"queryVector": {"float32": [1.0]}},
        {"queryVector": {"float32": [0.0, 0.0, 0.0]}},
        {"queryMode": "CLASSIC"},
        {"filter": {"text": "A"}},
        {"queryTexts": [{"text": "a", "metadataKey": "text"}]},
        {"nextToken": "?"},
    ],
)
def test_invalid_queries(vectors: Any, index: str, options: dict[str, Any]) -> None:
    given = {"topK": 1, "queryVector": {"float32": [1.0, 0.0, 0.0]}, **options}
    code, _ = refusal(vectors.query_vectors, indexArn=index, **given)
    assert code == "ValidationException"
