"""Names of a batch's objects, execution and jobs."""

from __future__ import annotations

import re

import pytest

from contract import batch_objects
from contract.names import Names

BATCH_ID = "0d1e2f30-4a5b-5c6d-8e9f-a0b1c2d3e4f5"


def test_job_names_of_the_longest_stage_fit_into_63_characters():
    prefix = Names("s" * 16).prefix
    given = batch_objects.transform_job_names(prefix, BATCH_ID)
    assert len(given) == len(set(given)) == 3
    assert max(map(len, given)) == 62
    for name in given:
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)
        assert name.startswith(f"{prefix}-")  # the prefix that policies allow


def test_an_execution_is_named_by_its_batch():
    machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:batch"
    expected = f"arn:aws:states:eu-west-1:123456789012:execution:batch:{BATCH_ID}"
    assert batch_objects.execution_arn(machine, BATCH_ID) == expected


def test_the_same_object_gives_the_same_id():
    made = [
        batch_objects.batch_id_of_object("bucket", "input/a", "1"),
        batch_objects.batch_id_of_object("bucket", "input/a", "2"),
        batch_objects.batch_id_of_object("bucket", "input/a", None),
        batch_objects.batch_id_of_object("other", "input/a", "1"),
    ]
    assert len(set(made)) == len(made)
    assert all(map(batch_objects.is_batch_id, [*made, batch_objects.new_batch_id()]))
    # Fixed forever: a repeated event must find a batch of an older version of this app.
    assert made[0] == "1254003e-25e1-5318-bca2-e41e3d6210a5"


def test_a_token_has_a_key_of_its_own_for_each_owner():
    made = {
        batch_objects.token_key(owner, token)
        for owner, token in (("a", "x"), ("a", "y"), ("b", "x"), ("a x", ""))
    }
    assert len(made) == 4
    assert all(batch_objects.batch_id_of_upload(key) is None for key in made)


@pytest.mark.parametrize(
    "text",
    ["", "x", BATCH_ID.upper(), BATCH_ID + "\n", f" {BATCH_ID}", BATCH_ID.replace("-", "")],
)
def test_other_texts_are_not_ids(text):
    assert not batch_objects.is_batch_id(text)


def test_the_key_of_an_upload_has_its_id():
    assert batch_objects.batch_id_of_upload(batch_objects.upload_key(BATCH_ID)) == BATCH_ID
    for key in (
        f"{batch_objects.INPUT_PREFIX}{BATCH_ID}.jsonl",
        f"{batch_objects.UPLOADS_PREFIX}a.jsonl",
        f"{batch_objects.UPLOADS_PREFIX}.jsonl",
    ):
        assert batch_objects.batch_id_of_upload(key) is None


def test_the_key_of_an_output_has_its_shard():
    prefix = batch_objects.output_prefix(BATCH_ID)
    assert batch_objects.shard_of_output(f"{prefix}00007.jsonl.out") == 7
    assert batch_objects.shard_of_output(f"{prefix}shards/123456.jsonl.out") == 123_456
    for key in ("rejects/00001.jsonl", "report.json", "embeddings.jsonl", "x00001.jsonl.out"):
        assert batch_objects.shard_of_output(prefix + key) is None


def test_shards_sort_as_text():
    keys = [batch_objects.shard_key(BATCH_ID, number) for number in (0, 9, 10, 99_999)]
    assert keys == sorted(keys)
