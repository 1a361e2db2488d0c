"""The action "prepare": the transform job for what was split."""

from __future__ import annotations

import pytest

from tests.support.batch_scenarios import (
    BATCH_ID,
    BUCKET,
    DEPLOYMENT,
    ENVIRONMENT,
    batch,
    deployed_steps,
)
from tests.support.model_validator import check_request

CURSOR = {
    "etag": '"e"',
    "size": 10_000,
    "dimension": 1024,
    "offset": 10_000,
    "line_number": 100,
    "in_long_line": False,
    "shards": 8,
    "reject_parts": 0,
    "accepted": 100,
    "rejected": 0,
    "blank": 0,
    "done": True,
}


def event(attempt=0, instance_count=2, **changes):
    return {
        "action": "prepare",
        "batch": batch(b"", instance_count=instance_count),
        "cursor": {**CURSOR, **changes},
        "attempt": attempt,
    }


class TestRequest:
    def test_reads_shards_and_writes_output_with_the_deployed_model(self, steps):
        prepared = steps(event())
        request = prepared["transform_job"]
        assert request["ModelName"] == "CpuModel-1"
        source = request["TransformInput"]["DataSource"]["S3DataSource"]
        # With the last slash, lest the prefix match another batch's shards.
        assert source["S3Uri"] == f"s3://{BUCKET}/shards/{BATCH_ID}/"
        assert request["TransformOutput"]["S3OutputPath"] == f"s3://{BUCKET}/output/{BATCH_ID}"
        assert prepared["deployment"] == {
            key: value for key, value in DEPLOYMENT.items() if key != "corpus_sha256"
        }
        assert prepared["attempt"] == 1

    def test_sends_one_group_of_records_at_a_time(self, steps):
        request = steps(event())["transform_job"]
        assert request["BatchStrategy"] == "SingleRecord"
        assert request["TransformInput"]["SplitType"] == "Line"
        assert request["TransformOutput"]["AssembleWith"] == "Line"
        assert request["MaxConcurrentTransforms"] * request["MaxPayloadInMB"] <= 100

    @pytest.mark.parametrize(("asked", "shards", "used"), [(2, 8, 2), (10, 8, 8), (100, 1, 1)])
    def test_has_no_more_instances_than_shards(self, steps, asked, shards, used):
        request = steps(event(instance_count=asked, shards=shards))["transform_job"]
        assert request["TransformResources"]["InstanceCount"] == used

    def test_encrypts_disks_where_they_are_volumes(self, steps):
        resources = steps(event())["transform_job"]["TransformResources"]
        assert resources == {
            "InstanceType": "ml.c6i.xlarge",
            "InstanceCount": 2,
            "VolumeKmsKeyId": ENVIRONMENT["VOLUME_KMS_KEY_ID"],
        }

    def test_on_gpus_names_a_machine_image_and_no_key_for_their_disks(self, batch_aws):
        steps = deployed_steps(
            TRANSFORM_JOB_PREFIX="faq-search-" + "s" * 16,
            INSTANCE_TYPE="ml.g5.2xlarge",
            VOLUME_KMS_KEY_ID="",
            TRANSFORM_AMI_VERSION="al2-ami-sagemaker-batch-gpu-535",
            PRICE="",
        )
        request = steps(event())["transform_job"]
        assert check_request("sagemaker", "CreateTransformJob", request) == []
        assert request["TransformResources"] == {
            "InstanceType": "ml.g5.2xlarge",
            "InstanceCount": 2,
            "TransformAmiVersion": "al2-ami-sagemaker-batch-gpu-535",
        }

    def test_has_the_stacks_tags(self, steps):
        assert steps(event())["transform_job"]["Tags"] == [
            {"Key": "app", "Value": "faq-search"},
            {"Key": "stage", "Value": "dev"},
        ]


class TestAttempts:
    @pytest.mark.parametrize(("before", "tail"), [(None, ""), (0, ""), (1, "-2"), (2, "-3")])
    def test_have_different_names(self, steps, before, tail):
        prepared = steps(event(attempt=before))
        expected = f"faq-search-dev-{BATCH_ID.replace('-', '')}{tail}"
        assert prepared["transform_job"]["TransformJobName"] == expected
        assert prepared["attempt"] == (before or 0) + 1

    def test_use_the_model_that_is_deployed_by_then(self, batch_aws, steps):
        batch_aws.parameters[ENVIRONMENT["MODEL_NAME_PARAMETER"]] = "CpuModel-2"
        assert steps(event(attempt=1))["transform_job"]["ModelName"] == "CpuModel-2"

    def test_end_after_three(self, steps):
        with pytest.raises(Exception, match="replaced 3 times") as caught:
            steps(event(attempt=3))
        assert type(caught.value).__name__ == "BatchError"


class TestRefusals:
    def test_a_file_without_records(self, steps):
        with pytest.raises(Exception, match="no record") as caught:
            steps(event(accepted=0, shards=0, rejected=1200, blank=3))
        assert type(caught.value).__name__ == "BatchError"
        assert str(caught.value) == (
            "The file has no record that can be embedded: 1,200 lines were rejected, 3 are blank."
        )

    def test_a_model_whose_answers_may_exceed_the_groups(self, steps):
        with pytest.raises(Exception, match=r"larger vectors \(1024 numbers instead of 384\)"):
            steps(event(dimension=384))
        assert steps(event(dimension=4096))["transform_job"]

    def test_nothing_deployed(self, batch_aws, steps):
        del batch_aws.parameters[ENVIRONMENT["MODEL_NAME_PARAMETER"]]
        with pytest.raises(Exception, match="No model is deployed"):
            steps(event())


class TestWait:
    @pytest.mark.parametrize(
        ("records", "size", "instances", "seconds"),
        [
            (1, 10, 1, 3),
            (1000, 100_000, 1, 3),
            (100_000, 10_000_000, 1, 25),
            (100_000, 10_000_000, 10, 3),
            (1000, 100_000_000, 1, 25),
            (10_000_000, 10**9, 1, 300),
        ],
    )
    def test_grows_with_the_work(self, steps, records, size, instances, seconds):
        asked = event(instance_count=instances, accepted=records, size=size, shards=10)
        assert steps(asked)["wait_seconds"] == seconds
