"""The corpus beside its bake, and bakes that are only to be reused."""

from __future__ import annotations

import json

import pytest

from tests.support.bake_scenarios import (
    ASSET,
    ASSETS,
    BUCKET,
    CORPUS,
    MACHINE,
    NEW,
    OLD,
    facts,
    marked,
    name,
    properties,
)
from tests.support.recorded_aws import WRITTEN_AT, AwsError

PINNED = {
    "Bucket": "their-bucket",
    "Key": "faq/their.csv",
    "VersionId": "v7",
    "FileName": "their.csv",
}


def marker(aws, bake_id: str):
    return json.loads(aws.objects[BUCKET, f"bakes/{bake_id}/bake.json"])


class TestCorpus:
    def test_is_copied_beside_the_bake_before_the_job_starts(self, aws, answers, bake):
        bake("Create", NEW)
        [copy] = aws.called("CopyObject")
        assert copy["CopySource"] == f"{ASSETS}/{ASSET}"
        assert (
            copy["TaggingDirective"] == "REPLACE"
        )  # reading its tags would take another permission
        assert aws.objects[BUCKET, f"bakes/{NEW}/corpus/corpus.csv"] == CORPUS
        names = [operation for _, operation, _ in aws.requests]
        assert names.index("CopyObject") < names.index("StartExecution")

    def test_that_is_pinned_is_copied_at_its_version(self, aws, answers, bake):
        aws.objects["their-bucket", "faq/their.csv"] = b"q,a"
        bake("Create", NEW, ResourceProperties=properties(NEW, Corpus=PINNED))
        [copy] = aws.called("CopyObject")
        assert copy["CopySource"] == "their-bucket/faq/their.csv?versionId=v7"
        assert aws.objects[BUCKET, f"bakes/{NEW}/corpus/their.csv"] == b"q,a"

    @pytest.mark.parametrize(
        ("corpus", "named"),
        [
            (PINNED, "The corpus s3://their-bucket/faq/their.csv, version v7, cannot be copied"),
            (
                {"Bucket": ASSETS, "Key": "gone.csv", "FileName": "corpus.csv"},
                f"The corpus s3://{ASSETS}/gone.csv cannot be copied",
            ),
        ],
    )
    def test_that_is_missing_fails_with_a_sentence(self, aws, answers, bake, corpus, named):
        bake("Create", NEW, ResourceProperties=properties(NEW, Corpus=corpus))
        assert answers.only["Status"] == "FAILED"
        assert named in answers.only["Reason"]
        assert aws.executions == {}

    def test_that_is_not_baked_is_not_copied(self, aws, answers, bake):
        without = properties(NEW)
        del without["Corpus"]
        bake("Create", NEW, ResourceProperties=without)
        assert aws.called("CopyObject") == []
        assert len(aws.executions) == 1

    def test_is_not_copied_again(self, aws, answers, bake):
        marked(aws, OLD)
        bake("Create", OLD)
        assert answers.only["Status"] == "SUCCESS"
        assert aws.called("CopyObject") == aws.called("PutObject") == []


class TestMarkerOfAnEarlierApp:
    """It names only the artifact."""

    @pytest.fixture
    def url(self, aws):
        url = marked(aws, OLD)
        least = ("bake_id", "model_data_url", "training_job_name")
        content = {key: value for key, value in marker(aws, OLD).items() if key in least}
        aws.objects[BUCKET, f"bakes/{OLD}/bake.json"] = json.dumps(content).encode()
        return url

    def test_is_reused_and_completed(self, aws, answers, bake, url):
        bake("Create", OLD)
        assert answers.only["Data"]["ModelDataUrl"] == url
        assert aws.executions == {}
        assert marker(aws, OLD) == {
            "bake_id": OLD,
            "model_data_url": url,
            "training_job_name": name(OLD),
            **facts(OLD),
            "baked_at": WRITTEN_AT.isoformat(),
        }
        assert aws.objects[BUCKET, f"bakes/{OLD}/corpus/corpus.csv"] == CORPUS

    def test_keeps_an_existing_corpus(self, aws, answers, bake, url):
        aws.objects[BUCKET, f"bakes/{OLD}/corpus/corpus.csv"] = CORPUS
        bake("Create", OLD)
        assert aws.called("CopyObject") == []
        assert marker(aws, OLD)["corpus_file"] == "corpus.csv"

    @pytest.mark.parametrize("operation", ["CopyObject", "PutObject", "DescribeStacks"])
    def test_that_cannot_be_completed_is_still_reused(self, aws, answers, bake, url, operation):
        aws.broken[operation] = AwsError("AccessDenied", "no", 403)
        bake("Create", OLD)
        assert answers.only["Status"] == "SUCCESS"
        assert answers.only["Data"]["ModelDataUrl"] == url

    def test_is_left_alone_in_a_rollback(self, aws, answers, bake, url):
        aws.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
        bake("Update", OLD, old=NEW)
        assert answers.only["Data"]["ModelDataUrl"] == url
        assert aws.called("CopyObject") == aws.called("PutObject") == []

    def test_facts_of_a_later_app_are_kept(self, aws, answers, bake):
        url = marked(aws, OLD, colour="green")
        bake("Create", OLD)
        assert answers.only["Data"]["ModelDataUrl"] == url
        assert marker(aws, OLD)["colour"] == "green"


class TestReuseOnly:
    """bake.reuse in the settings: the existing artifact, and never a training job."""

    @pytest.fixture
    def reuse(self, bake):
        asked = properties(OLD, ReuseOnly="true")
        return lambda kind="Update": bake(kind, OLD, NEW, ResourceProperties=asked)

    def test_answers_with_the_artifact(self, aws, answers, reuse):
        url = marked(aws, OLD)
        aws.stack_status = "UPDATE_IN_PROGRESS"
        reuse()
        assert answers.only["Status"] == "SUCCESS"
        assert answers.only["PhysicalResourceId"] == OLD
        assert answers.only["Data"]["ModelDataUrl"] == url
        assert aws.executions == {}
        assert aws.called("CopyObject") == aws.called("PutObject") == []

    @pytest.mark.parametrize("kind", ["Create", "Update"])
    @pytest.mark.parametrize("missing", ["bake.json", f"{name(OLD)}/output/model.tar.gz"])
    def test_fails_with_a_sentence_if_something_is_missing(
        self, aws, answers, reuse, kind, missing
    ):
        marked(aws, OLD)
        del aws.objects[BUCKET, f"bakes/{OLD}/{missing}"]
        reuse(kind)
        assert answers.only["Status"] == "FAILED"
        assert answers.only["Reason"] == (
            f"The bake could not be reused: the settings reuse bake {OLD}, but its marker or"
            f" artifact is not in s3://{BUCKET}/bakes/. Reuse another bake, or remove bake.reuse to"
            " bake again."
        )
        assert aws.executions == {}
        assert aws.called("CreateTrainingJob") == []

    @pytest.mark.parametrize(
        ("fact", "value"),
        [
            ("model_id", "another-model"),
            ("model_version", "9"),
            ("dimension", 1024),
            ("ranking", "answer"),
            ("corpus_sha256", "another"),
        ],
    )
    def test_refuses_what_the_settings_do_not_describe(self, aws, answers, reuse, fact, value):
        marked(aws, OLD, **{**facts(OLD), fact: value})
        reuse()
        assert answers.only["Status"] == "FAILED"
        assert f"its {fact} is {value!r}, not {facts(OLD)[fact]!r}" in answers.only["Reason"]

    def test_knows_the_bake_of_an_earlier_version_by_its_file(self, aws, answers, bake):
        url = marked(aws, OLD, **{**facts(OLD), "corpus_sha256": "of-the-file"})
        asked = properties(OLD, ReuseOnly="true")
        asked["Corpus"] = {**asked["Corpus"], "FileSha256": "of-the-file"}
        bake("Update", OLD, NEW, ResourceProperties=asked)
        assert answers.only["Data"]["ModelDataUrl"] == url

    def test_trusts_a_marker_without_facts(self, aws, answers, reuse):
        url = marked(aws, OLD, baked_at="2030-01-01T00:00:00+00:00")
        reuse()
        assert answers.only["Data"]["ModelDataUrl"] == url

    def test_succeeds_in_a_rollback_with_nothing_left(self, aws, answers, reuse):
        aws.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
        reuse()
        assert answers.only["Status"] == "SUCCESS"
        assert aws.executions == {}

    def test_ignores_differences_in_a_rollback(self, aws, answers, reuse):
        # Another attempt left an artifact too: the marker knows which one was finished.
        aws.objects[BUCKET, f"bakes/{OLD}/{name(OLD, 2)}/output/model.tar.gz"] = b"artifact"
        url = marked(aws, OLD, model_id="another-model")
        aws.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
        reuse()
        assert answers.only["Data"]["ModelDataUrl"] == url

    def test_stops_the_bake_that_it_replaces(self, aws, answers, reuse):
        marked(aws, OLD)
        execution = MACHINE.replace(":stateMachine:", ":execution:") + ":1"
        aws.executions[execution] = {"status": "RUNNING", "input": json.dumps({"bake_id": NEW})}
        reuse()
        assert aws.executions[execution]["status"] == "ABORTED"
        assert answers.only["Status"] == "SUCCESS"
