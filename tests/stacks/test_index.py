"""The Index stack: what it may do, and what a changed corpus changes."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.batch.stack import BatchStack
from stage.bake_inputs import index_request
from stage.settings import Settings
from tests.support.synthesis import (
    Templates,
    changed,
    grant,
    listed,
    of_type,
    properties,
    some_templates_of,
    statements,
    templates_of,
)

ENGINE = {"engine": "s3_vectors"}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return changed("dev", search=ENGINE)


@pytest.fixture(scope="module")
def synthesised(settings: Settings) -> Templates:
    return templates_of(settings)


@pytest.fixture(scope="module")
def index(synthesised: Templates) -> dict[str, Any]:
    return synthesised["Index"]


def test_only_this_engine_has_the_stack(templates: Any) -> None:
    assert "Index" not in templates("dev")


def test_the_vectors_are_encrypted_with_the_stages_key(
    index: dict[str, Any], synthesised: Templates
) -> None:
    (bucket,) = properties(index, "AWS::S3Vectors::VectorBucket")
    assert bucket["VectorBucketName"] == "faq-search-dev"
    assert bucket["EncryptionConfiguration"]["SseType"] == "aws:kms"
    assert "Key" in str(bucket["EncryptionConfiguration"]["KmsKeyArn"])
    (key,) = properties(synthesised["Foundation"], "AWS::KMS::Key")
    (admitted,) = (
        s
        for s in key["KeyPolicy"]["Statement"]
        if s["Principal"].get("Service") == "indexing.s3vectors.amazonaws.com"
    )
    assert admitted["Action"] == "kms:Decrypt"
    assert admitted["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert "bucket/faq-search-dev" in str(admitted["Condition"]["ArnLike"]["aws:SourceArn"])


def test_the_request_names_what_decides_the_index(
    index: dict[str, Any], settings: Settings
) -> None:
    (resource,) = properties(index, "Custom::VectorIndex")
    text = str(resource["Index"])
    for value in index_request(settings).values():
        assert str(value) in text
    assert settings.corpus_sha256 in text


def test_another_corpus_changes_the_index_alone(synthesised: Templates, settings: Settings) -> None:
    other = templates_of(settings.model_copy(update={"corpus_sha256": "0" * 64}))
    assert {n: t for n, t in other.items() if n != "Index"} == {
        n: t for n, t in synthesised.items() if n != "Index"
    }
    before, after = synthesised["Index"]["Resources"], other["Index"]["Resources"]
    assert [name for name in before if before[name] != after[name]] == [
        *of_type(synthesised["Index"], "Custom::VectorIndex")
    ]


def test_who_loads_removes_nothing_and_who_removes_loads_nothing(index: dict[str, Any]) -> None:
    actions: dict[str, set[str]] = {}
    for name, statement in statements(index):
        actions.setdefault(name.rstrip("0123456789ABCDEF"), set()).update(
            listed(statement["Action"])
        )
    vectors = {
        name: {a for a in found if a.startswith("s3vectors:")} for name, found in actions.items()
    }
    assert sorted(filter(None, map(sorted, vectors.values()))) == [
        [
            "s3vectors:CreateIndex",
            "s3vectors:GetIndex",
            "s3vectors:ListVectors",
            "s3vectors:PutVectors",
            "s3vectors:QueryVectors",
        ],
        ["s3vectors:DeleteIndex", "s3vectors:ListIndexes"],
    ]


def test_the_batchs_function_reads_corpora_of_indexes_alone(synthesised: Templates) -> None:
    found = [
        str(s["Resource"])
        for name, s in statements(synthesised["Batch"])
        if name.startswith("StepsFunction") and "s3:GetObjectVersion" in listed(s["Action"])
    ]
    assert sum("/indexes/*" in each for each in found) == 1
    without = some_templates_of(changed("dev"), BatchStack)["Batch"]
    assert "/indexes/*" not in str(statements(without))


def test_indexes_go_with_a_stage_that_keeps_nothing_and_before_their_bucket(
    index: dict[str, Any],
) -> None:
    (resource,) = of_type(index, "Custom::VectorIndex").values()
    (bucket,) = of_type(index, "AWS::S3Vectors::VectorBucket")
    assert resource["Properties"]["RemoveIndexes"] is True
    assert bucket in resource["DependsOn"]
    kept = templates_of(changed("dev", search=ENGINE, removal_policy="retain"))["Index"]
    (resource,) = of_type(kept, "Custom::VectorIndex").values()
    assert resource["Properties"]["RemoveIndexes"] is False
    (bucket_,) = of_type(kept, "AWS::S3Vectors::VectorBucket").values()
    assert bucket_["DeletionPolicy"].startswith("Retain")


def test_a_pinned_corpus_is_read_at_its_version() -> None:
    pinned = {"s3_uri": "s3://theirs/faq.jsonl", "version_id": "v7", "sha256": "1" * 64}
    template = templates_of(changed("dev", search=ENGINE, corpus={"path": None, **pinned}))["Index"]
    assert "v7" in str(properties(template, "Custom::VectorIndex"))
    found = [s for _, s in statements(template) if "theirs/faq.jsonl" in str(s["Resource"])]
    assert [listed(s["Action"]) for s in found] == [["s3:GetObject", "s3:GetObjectVersion"]]


def test_a_private_stage_has_a_door_to_the_service() -> None:
    templates = templates_of(changed("private", search=ENGINE))
    (endpoint,) = (
        p
        for p in properties(templates["Foundation"], "AWS::EC2::VPCEndpoint")
        if "s3vectors" in str(p["ServiceName"])
    )
    allowed = endpoint["PolicyDocument"]["Statement"]
    assert all("faq-search-private" in str(s["Resource"]) for s in allowed)
    actions = {a for s in allowed for a in listed(s["Action"])}
    used = {
        a
        for name in ("Index", "FrontDoor")
        for _, s in statements(templates[name])
        for a in listed(s["Action"])
        if a.startswith("s3vectors:")
    }
    assert used <= actions


def test_the_alarms_of_a_failed_loading_say_what_to_do(index: dict[str, Any]) -> None:
    found = properties(index, "AWS::CloudWatch::Alarm")
    assert {each["MetricName"] for each in found} == {"ExecutionsFailed", "ExecutionsTimedOut"}
    assert all("make status STAGE=dev" in each["AlarmDescription"] for each in found)


def test_the_state_machine_calls_one_function(index: dict[str, Any]) -> None:
    assert grant(index, "Role", "lambda:InvokeFunction")
