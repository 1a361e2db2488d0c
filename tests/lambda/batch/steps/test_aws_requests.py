"""What a batch asks of SageMaker and of the container, and what it takes from them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from batch.steps import gather, lines, record_groups
from container.serving.responses import record_error_json, record_json
from stage.bundles import ROOT
from tests.support.batch_scenarios import (
    BATCH_ID,
    answer,
    deployed_steps,
    put_input,
    split_all,
)
from tests.support.model_validator import check_request

WORKFLOW = ROOT / "stacks/batch/workflow.asl.json"
# What a deployment on machines with GPUs and disks of their own has instead.
GPU = {
    "INSTANCE_TYPE": "ml.g5.2xlarge",
    "VOLUME_KMS_KEY_ID": "",
    "TRANSFORM_AMI_VERSION": "al2-ami-sagemaker-batch-gpu-535",
}


@pytest.fixture(params=[{}, GPU], ids=["cpu", "gpu"])
def transform_job(request, batch_aws) -> dict[str, Any]:
    """The CreateTransformJob request of a batch, on the stage with the longest name."""
    prefix = "faq-search-" + "s" * 16
    steps = deployed_steps(**request.param, TRANSFORM_JOB_PREFIX=prefix)
    asked = put_input(batch_aws, b'{"id":1,"text_inputs":"a"}')
    cursor = split_all(steps, asked)
    event = {"action": "prepare", "batch": asked, "cursor": cursor, "attempt": 2}
    return steps(event)["transform_job"]


def test_create_transform_job(transform_job):
    assert check_request("sagemaker", "CreateTransformJob", transform_job) == []


def test_the_workflow_names_every_field_of_the_request(transform_job):
    states = json.loads(WORKFLOW.read_text(encoding="utf-8"))["States"]
    named = states["CreateTransformJob"]["Parameters"]
    assert {field.removesuffix(".$") for field in named} == set(transform_job)


def test_the_container_takes_every_line_of_a_shard(batch_aws, steps):
    given = [
        {"id": 2**200, "text_inputs": "big"},
        {"id": "\U0001f600" * 256, "text_inputs": "\u2028 and \x85 and \n and \x01"},
        {"id": -1, "text_inputs": "\x7f" * 100_000},
        *({"id": number, "text_inputs": "x" * number} for number in range(1, 600)),
    ]
    content = "\n".join(json.dumps(record) for record in given).encode()
    split_all(steps, put_input(batch_aws, content))
    [shard] = batch_aws.keys(f"shards/{BATCH_ID}/")
    # Split as strictly, and as loosely, as any reader of lines does.
    groups = batch_aws.text(shard).splitlines()
    assert len(groups) == batch_aws.text(shard).count("\n") == 3
    answers = [json.loads(each) for group in groups for each in answer(group)]
    assert [each["id"] for each in answers] == [record["id"] for record in given]


def test_answers_of_the_container_are_counted():
    vectors = np.array([[0.25, -1e-30], [1.0, -0.5]], dtype=np.float32)
    texts = [
        *(record_json('"error":"', vector) for vector in vectors),
        record_error_json('"embedding":[', 'text_inputs is "error":"'),
        record_error_json(None, "the line is null"),
    ]
    assert gather.count_answers([b"\n".join(texts)]) == (2, 2)


@pytest.mark.parametrize("dimension", [384, 768, 1024, 1536])
def test_the_longest_answer_fits_a_response(dimension):
    vector = np.full(dimension, -0.0000095130945, dtype=np.float32)
    line = record_json("\U0001f600" * lines.MAX_ID_CHARACTERS, vector)
    body = (len(line) + 1) * record_groups.records_per_group(dimension)
    assert 500_000 < body < 6_553_500  # of multi-model-server, by default
