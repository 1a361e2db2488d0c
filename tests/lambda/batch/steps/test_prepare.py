"""The action "prepare": the transform job for what was split; and what things are called."""

from __future__ import annotations

import re

import pytest

from contract import batch_objects as names
from tests.support.batch_scenarios import (
    BATCH_ID,
    BUCKET,
    DEPLOYMENT,
    ENVIRONMENT,
    MACHINE,
    batch,
    deployed_steps,
)
from tests.support.recorded_aws import ACCOUNT, REGION

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
        # With the last slash, or another batch's shards might begin with the same.
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

    def test_the_server_waits_for_a_worker_as_long_as_the_job_for_the_server(self, steps):
        """Otherwise it would end a worker that encodes a group of long texts for over a minute."""
        request = steps(event())["transform_job"]
        seconds = request["ModelClientConfig"]["InvocationsTimeoutInSeconds"]
        assert request["Environment"] == {"SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": str(seconds)}
        assert 60 < seconds <= 3600

    @pytest.mark.parametrize(("asked", "shards", "used"), [(2, 8, 2), (10, 8, 8), (100, 1, 1)])
    def test_has_no_instance_without_a_shard(self, steps, asked, shards, used):
        request = steps(event(instance_count=asked, shards=shards))["transform_job"]
        assert request["TransformResources"]["InstanceCount"] == used

    def test_encrypts_disks_where_they_are_volumes(self, steps):
        resources = steps(event())["transform_job"]["TransformResources"]
        assert resources == {
            "InstanceType": "ml.c6i.xlarge",
            "InstanceCount": 2,
            "VolumeKmsKeyId": ENVIRONMENT["VOLUME_KMS_KEY_ID"],
        }

    def test_names_the_machine_image_of_gpus_and_no_key_for_their_own_disks(self, batch_aws):
        steps = deployed_steps(
            INSTANCE_TYPE="ml.g5.2xlarge",
            VOLUME_KMS_KEY_ID="",
            TRANSFORM_AMI_VERSION="al2-ami-sagemaker-batch-gpu-535",
            PRICE="",
        )
        prepared = steps(event())
        assert prepared["transform_job"]["TransformResources"] == {
            "InstanceType": "ml.g5.2xlarge",
            "InstanceCount": 2,
            "TransformAmiVersion": "al2-ami-sagemaker-batch-gpu-535",
        }

    def test_carries_the_stacks_tags(self, steps):
        assert steps(event())["transform_job"]["Tags"] == [
            {"Key": "app", "Value": "faq-search"},
            {"Key": "stage", "Value": "dev"},
        ]


class TestAttempts:
    @pytest.mark.parametrize(("before", "tail"), [(None, ""), (0, ""), (1, "-2"), (2, "-3")])
    def test_have_a_name_each(self, steps, before, tail):
        prepared = steps(event(attempt=before))
        expected = f"faq-search-dev-{BATCH_ID.replace('-', '')}{tail}"
        assert prepared["transform_job"]["TransformJobName"] == expected
        assert prepared["attempt"] == (before or 0) + 1

    def test_take_the_model_that_is_deployed_by_then(self, batch_aws, steps):
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

    def test_a_model_whose_answers_may_be_too_large_for_the_groups(self, steps):
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
    def test_grows_with_what_there_is_to_do(self, steps, records, size, instances, seconds):
        asked = event(instance_count=instances, accepted=records, size=size, shards=10)
        assert steps(asked)["wait_seconds"] == seconds


class TestNames:
    def test_of_the_longest_stage_fit_into_63_characters(self):
        prefix = "faq-search-" + "s" * 16
        given = names.transform_job_names(prefix, BATCH_ID)
        assert len(given) == len(set(given)) == 3
        assert max(map(len, given)) == 62
        for name in given:
            assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)
            assert name.startswith(f"{prefix}-")  # what policies go by

    def test_of_executions(self):
        assert names.execution_arn(MACHINE, BATCH_ID) == (
            f"arn:aws:states:{REGION}:{ACCOUNT}:execution:faq-search-dev-batch:{BATCH_ID}"
        )

    def test_ids_are_the_same_for_the_same(self):
        made = [
            names.batch_id_of_token("a"),
            names.batch_id_of_token("b"),
            names.batch_id_of_object("bucket", "input/a", "1"),
            names.batch_id_of_object("bucket", "input/a", "2"),
            names.batch_id_of_object("bucket", "input/a", None),
            names.batch_id_of_object("other", "input/a", "1"),
        ]
        assert len(set(made)) == len(made)
        assert all(map(names.is_batch_id, [*made, names.new_batch_id()]))
        # For good: a repeated request must find the batch of last year's version of this.
        assert made[0] == "41b0d3f5-333d-5a23-8542-1fbca62e8485"

    @pytest.mark.parametrize(
        "text",
        ["", "x", BATCH_ID.upper(), BATCH_ID + "\n", f" {BATCH_ID}", BATCH_ID.replace("-", "")],
    )
    def test_no_other_text_is_an_id(self, text):
        assert not names.is_batch_id(text)

    def test_an_uploads_key_tells_its_id(self):
        assert names.batch_id_of_upload(names.upload_key(BATCH_ID)) == BATCH_ID
        for key in (f"input/{BATCH_ID}.jsonl", "input/uploads/a.jsonl", "input/uploads/.jsonl"):
            assert names.batch_id_of_upload(key) is None

    def test_outputs_tell_their_shards(self):
        prefix = names.output_prefix(BATCH_ID)
        assert names.shard_of_output(f"{prefix}00007.jsonl.out") == 7
        assert names.shard_of_output(f"{prefix}shards/123456.jsonl.out") == 123_456
        for key in ("rejects/00001.jsonl", "report.json", "embeddings.jsonl", "x00001.jsonl.out"):
            assert names.shard_of_output(prefix + key) is None

    def test_shards_are_in_order_as_text(self):
        keys = [names.shard_key(BATCH_ID, number) for number in (0, 9, 10, 99_999)]
        assert keys == sorted(keys)
