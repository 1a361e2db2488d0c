"""A batch of a corpus, for an index of S3 Vectors: its lines in groups, and what is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch.steps import BatchError
from batch.steps.gather import Gathering
from contract.vector_index import MAX_ANSWER_BYTES, MAX_GROUP_BYTES, answer_bytes
from tests.support.batch_scenarios import BATCH_ID, BUCKET, DEPLOYMENT, put_input, split_all


def line(number: int, answer: str = "An answer.") -> bytes:
    return json.dumps({"question": f"Question {number}?", "answer": answer}).encode() + b"\n"


def corpus(aws: Any, content: bytes, **changes: Any) -> dict[str, Any]:
    return put_input(aws, content) | {"of_corpus": True, **changes}


def groups(aws: Any) -> list[dict[str, Any]]:
    """The lines of the shards, in order."""
    return [
        json.loads(group) for key in aws.keys("shards/") for group in aws.text(key).splitlines()
    ]


def test_lines_are_sent_on_as_they_are_with_their_numbers(batch_aws, steps) -> None:
    content = b"\xef\xbb\xbf" + line(0) + b"\n" + line(1, "a\u2028b") + line(2).rstrip(b"\n")
    cursor = split_all(steps, corpus(batch_aws, content))
    assert (cursor["accepted"], cursor["blank"], cursor["rejected"]) == (3, 1, 0)
    found = groups(batch_aws)
    assert [group["first_line"] for group in found] == [1, 3]
    assert [json.loads(each) for group in found for each in group["lines"]] == [
        json.loads(line(0)),
        json.loads(line(1, "a\u2028b")),
        json.loads(line(2)),
    ]


def test_groups_fit_a_request_and_its_answer(batch_aws, steps) -> None:
    content = b"".join(line(n, "x" * (n % 5000)) for n in range(0, 60_000, 7))
    split_all(steps, corpus(batch_aws, content))
    found = groups(batch_aws)
    assert sum(len(group["lines"]) for group in found) == content.count(b"\n")
    number = 1
    for group in found:
        assert group["first_line"] == number
        number += len(group["lines"])
        sizes = [len(each.encode()) for each in group["lines"]]
        assert sum(sizes) <= MAX_GROUP_BYTES
        answers = sum(answer_bytes(size, DEPLOYMENT["dimension"]) for size in sizes)
        assert answers <= MAX_ANSWER_BYTES or len(sizes) == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b'{"question": "Why?"\n', "not JSON"),
        (b"[1, 2]\n", "an array; a line of a corpus is a JSON object"),
        (b'{"answer": "\xff"}\n', "not UTF-8"),
        (b'{"answer": NaN}\n', "NaN"),
        (b"x" * 1_100_000 + b"\n", "longer than"),
    ],
)
def test_a_line_that_is_no_entry_fails_the_batch_by_its_number(
    batch_aws, steps, wrong: bytes, reason: str
) -> None:
    content = line(0) + b"\n" + line(1) + wrong + line(2)
    with pytest.raises(BatchError, match=r"^Line 4 of the corpus cannot be used: ") as caught:
        split_all(steps, corpus(batch_aws, content))
    assert reason in str(caught.value)


@pytest.mark.parametrize(("last", "status"), [(b"", "failed"), (b'{"key":"0/3"}\n', "completed")])
def test_entries_are_counted_and_not_their_vectors(batch_aws, last: bytes, status: str) -> None:
    answers = (
        b'{"key":"0/1","data":{"float32":[1,0]},"metadata":{"answer":"{\\"key\\":\\"0/"}}\n'
        b'{"key":"1/1","data":{"float32":[0,1]}}\n'
        b'{"id":"2","left_out":"its answer shows nothing"}\n'
        b'{"id":"4","error":"too large"}\n'
    )
    batch_aws.objects[BUCKET, f"output/{BATCH_ID}/00000.jsonl.out"] = answers + last
    event = {
        "batch": corpus(batch_aws, b""),
        "cursor": {"shards": 1, "accepted": 4},
        "transform_job": {"TransformJobName": "job"},
        "job": {"TransformJobStatus": "Completed"},
        "gather": None,
    }
    gathering = Gathering(batch_aws.client("s3"), BUCKET, event)
    gathering.run(lambda: False)
    assert gathering.outcome is not None
    assert gathering.outcome.status == status
    assert (gathering.outcome.embedded, gathering.outcome.failed) == (2 + bool(last), 1)
