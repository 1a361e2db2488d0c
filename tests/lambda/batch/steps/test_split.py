"""The action "split": what becomes of a file, whole, in pieces, repeated and damaged."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import json
import random

import numpy as np
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from batch.steps import BatchError
from batch.steps import split as splitter
from batch.steps.lines import MAX_ID_CHARACTERS
from batch.steps.lines import MAX_LINE_BYTES as LIMIT
from container.serving.responses import record_json
from tests.support.batch_scenarios import (
    BATCH_ID,
    BUCKET,
    DEPLOYMENT,
    ENVIRONMENT,
    KEY,
    MEBIBYTE,
    answer,
    batch,
    put_input,
    split_all,
)
from tests.support.recorded_aws import AwsError


def line(number: int, text: str = "a question") -> bytes:
    return json.dumps({"id": number, "text_inputs": text}).encode() + b"\n"


def lines(count: int, text: str = "a question") -> bytes:
    return b"".join(line(number, text) for number in range(count))


def state(aws) -> dict:
    return {place: content for place, content in aws.objects.items() if place[0] == BUCKET}


# What breaks a line, each kind three times and more among good ones. True: the line is blank.
DAMAGE = {
    "cut off": b'{"id": 1, "text_inputs": "cut\n',
    "no JSON": b"hello\n",
    "not UTF-8": b'{"id": 1, "text_inputs": "caf\xe9"}\n',
    "UTF-16 in the middle": '{"id": 1, "text_inputs": "a"}\n'.encode("utf-16")[:-1],
    "a raw NUL": b'{"id": 1, "text_inputs": "a\0b"}\n',
    "an escaped NUL": b'{"id": 1, "text_inputs": "\\u0000"}\n',
    "NaN": b'{"id": NaN, "text_inputs": "a"}\n',
    "half of a surrogate pair": b'{"id": 1, "text_inputs": "\\ud83d"}\n',
    "an array": b'[{"id": 1, "text_inputs": "a"}]\n',
    "a string": b'"a"\n',
    "no id": b'{"text_inputs": "a"}\n',
    "an id of another kind": b'{"id": 1.5, "text_inputs": "a"}\n',
    "an id of thousands of digits": b'{"id": ' + b"9" * 5000 + b', "text_inputs": "a"}\n',
    "no text": b'{"id": 1}\n',
    "an empty text": b'{"id": 1, "text_inputs": ""}\n',
    "a list of texts": b'{"id": 1, "text_inputs": ["a"]}\n',
    "a text too long": b'{"id": 1, "text_inputs": "' + b"x" * 100_001 + b'"}\n',
    "nested too deeply": b"[" * 100_000 + b"\n",
    "a line too long": b'{"id": 1, "text_inputs": "' + b"y" * 3_000_000 + b'"}\n',
    "gzip in the middle": gzip.compress(b"a", mtime=0).replace(b"\n", b"") + b"\n",
    "CRLF inside a record": b'{"id": 1,\r "text_inputs": "a\r"}\r\n',
}
BLANKS = [b"\n", b"\r\n", b"  \t\n"]


class TestDamage:
    def test_every_good_record_arrives_in_order_once(self, batch_aws, steps):
        """Every kind of damage mixed into good records of every kind, cut in many segments."""
        shuffled = random.Random(7)
        good = [
            {"id": number, "text_inputs": text}
            for number, text in enumerate(
                [
                    "plain",
                    "Grüße, 日本語, \U0001f600",
                    'quotes " and \\ and \n and \u2028',
                    "x" * 100_000,
                    " padded ",
                ]
                * 60
            )
        ]
        good += [{"id": f"id-{number}", "text_inputs": "duplicate"} for number in (1, 1, 2)]
        raw = [
            (json.dumps(record, ensure_ascii=bool(number % 2)).encode() + end, None)
            for number, (record, end) in enumerate(
                zip(good, itertools.cycle([b"\n", b"\r\n"]), strict=False)
            )
        ]
        bad = [(content, name) for name, content in DAMAGE.items()] * 3
        bad += [(content, "blank") for content in BLANKS] * 5
        for damaged in bad:
            raw.insert(shuffled.randrange(1, len(raw)), damaged)
        content = codecs.BOM_UTF8 + b"".join(text for text, _ in raw)
        content = content.removesuffix(b"\r\n").removesuffix(b"\n")

        # Always out of time: every invocation reads one segment.
        cursor = split_all(steps, put_input(batch_aws, content), seconds=0)

        assert len(batch_aws.keys("shards/")) > 3
        assert batch_aws.records() == good
        expected = [
            (number, name)
            for number, (_, name) in enumerate(raw, start=1)
            if name not in (None, "blank")
        ]
        assert [reject["line_number"] for reject in batch_aws.rejects()] == [n for n, _ in expected]
        reasons = {
            name: reject["reason"]
            for reject, (_, name) in zip(batch_aws.rejects(), expected, strict=True)
        }
        assert len(reasons) == len(DAMAGE) > 10
        assert "longer than 1,048,576 bytes" in reasons["a line too long"]
        assert all(len(reject["line"]) <= 500 for reject in batch_aws.rejects())
        counted = [cursor[name] for name in ("accepted", "rejected", "blank", "line_number")]
        assert counted == [len(good), len(expected), 15, len(raw)]
        assert cursor["offset"] == cursor["size"] == len(content)

    def test_a_reject_shows_the_line_as_far_as_it_can_be_read(self, batch_aws, steps):
        content = line(1) + b"caf\xe9 \x00\r\n" + "é".encode() * 300_000 + b"\xf0\x9f\n"
        split_all(steps, put_input(batch_aws, content))
        first, second = batch_aws.rejects()
        assert first == {
            "line_number": 2,
            "reason": "not UTF-8: byte 0xe9 at position 4",
            "line": "caf\ufffd \0",
        }
        assert second["line"] == "é" * 500

    @pytest.mark.parametrize("missing", [1, 2, 11, 37])
    def test_a_truncated_file_loses_its_last_line_alone(self, batch_aws, steps, missing):
        content = lines(3)
        cursor = split_all(steps, put_input(batch_aws, content[:-missing]))
        kept = [record["id"] for record in batch_aws.records()]
        # Without its line end the last record is still whole.
        assert kept == ([0, 1, 2] if missing == 1 else [0, 1])
        assert cursor["rejected"] == len(batch_aws.rejects()) == 3 - len(kept)

    def test_a_line_beyond_any_limit_is_skipped_by_several_invocations(self, batch_aws, steps):
        content = line(1) + b"x" * (10 * LIMIT) + b"\n" + line(2)
        asked = put_input(batch_aws, content) | {"instance_count": 10}
        cursors = [steps({"action": "split", "batch": asked, "cursor": None}, 0)]
        while not cursors[-1]["done"]:
            cursors.append(steps({"action": "split", "batch": asked, "cursor": cursors[-1]}, 0))
        assert any(cursor["in_long_line"] for cursor in cursors)
        assert [record["id"] for record in batch_aws.records()] == [1, 2]
        [reject] = batch_aws.rejects()
        assert reject["line_number"] == 2
        assert (cursors[-1]["line_number"], cursors[-1]["rejected"]) == (3, 1)

    def test_concatenated_files_keep_every_record(self, batch_aws, steps):
        content = (codecs.BOM_UTF8 + lines(2)) * 2
        split_all(steps, put_input(batch_aws, content))
        assert [record["id"] for record in batch_aws.records()] == [0, 1, 0, 1]
        assert batch_aws.rejects() == []


class TestWholeFile:
    def test_in_another_format_fails_the_batch_with_a_sentence(self, batch_aws, steps):
        with pytest.raises(BatchError, match="The file is compressed with gzip; unpack it"):
            split_all(steps, put_input(batch_aws, gzip.compress(lines(3))))
        assert state(batch_aws) == {}

    def test_without_records_gives_rejects_and_no_shard(self, batch_aws, steps):
        cursor = split_all(steps, put_input(batch_aws, b"a\nb\n\nc"))
        assert batch_aws.keys("shards/") == []
        assert [reject["line_number"] for reject in batch_aws.rejects()] == [1, 2, 4]
        assert (cursor["accepted"], cursor["rejected"], cursor["blank"]) == (0, 3, 1)
        assert (cursor["shards"], cursor["reject_parts"]) == (0, 1)

    @pytest.mark.parametrize("content", [b"\n", b"\n\n\r\n", codecs.BOM_UTF8])
    def test_of_blank_lines_gives_nothing(self, batch_aws, steps, content):
        cursor = split_all(steps, put_input(batch_aws, content))
        assert cursor["blank"] == cursor["line_number"] == max(1, content.count(b"\n"))
        assert state(batch_aws) == {}


class TestShards:
    def test_are_groups_of_records_one_per_line(self, batch_aws, steps):
        cursor = split_all(steps, put_input(batch_aws, lines(600)))
        [key] = batch_aws.keys("shards/")
        assert key == f"shards/{BATCH_ID}/00000.jsonl"
        groups = [json.loads(group) for group in batch_aws.text(key).splitlines()]
        assert [len(group["records"]) for group in groups] == [256, 256, 88]
        assert all(group.keys() == {"records"} for group in groups)
        assert [record["id"] for record in batch_aws.records()] == list(range(600))
        assert (cursor["shards"], cursor["accepted"]) == (1, 600)

    def test_groups_stay_below_a_megabyte(self, batch_aws, steps):
        split_all(steps, put_input(batch_aws, lines(60, "é" * 45_000)))
        groups = [
            group for key in batch_aws.keys("shards/") for group in batch_aws.text(key).splitlines()
        ]
        sizes = [len(group.encode()) for group in groups]
        assert max(sizes) < 1_000_100
        assert sum(size > 900_000 for size in sizes) >= len(sizes) // 2
        assert len(batch_aws.records()) == 60

    @pytest.mark.parametrize(
        ("dimension", "records"), [(1, 256), (384, 256), (1024, 256), (4096, 75), (10**6, 1)]
    )
    def test_answers_to_a_group_fit_a_response(self, dimension, records):
        assert splitter.records_per_group(dimension) == records
        longest = np.full(dimension, -0.0000095130945, dtype=np.float32)
        answer = record_json("\U0001f600" * MAX_ID_CHARACTERS, longest) + b"\n"
        assert records * len(answer) < 6_553_500 or records == 1

    def test_are_read_by_the_container(self, batch_aws, steps):
        given = [
            {"id": 2**200, "text_inputs": "big"},
            {"id": "\U0001f600" * 256, "text_inputs": "\u2028 and \x85 and \n and \x01"},
            {"id": -1, "text_inputs": "\x7f" * 100_000},
            *({"id": number, "text_inputs": "x" * number} for number in range(1, 600)),
        ]
        content = "\n".join(json.dumps(record) for record in given).encode()
        split_all(steps, put_input(batch_aws, content))
        [shard] = batch_aws.keys(f"shards/{BATCH_ID}/")
        # No reader of lines, strict or lenient, splits them differently.
        groups = batch_aws.text(shard).splitlines()
        assert len(groups) == batch_aws.text(shard).count("\n") == 3
        answers = [json.loads(each) for group in groups for each in answer(group)]
        assert [each["id"] for each in answers] == [record["id"] for record in given]

    @pytest.mark.parametrize("instances", [1, 2, 3, 7])
    def test_are_equally_many_for_each_instance(self, batch_aws, steps, instances):
        content = lines(7_000, "x" * 160)
        asked = put_input(batch_aws, content) | {"instance_count": instances}
        split_all(steps, asked)
        sizes = [len(batch_aws.text(key)) for key in batch_aws.keys("shards/")]
        assert len(sizes) % instances == 0
        assert max(sizes) < 1.1 * min(sizes)
        assert [record["id"] for record in batch_aws.records()] == list(range(7_000))

    @pytest.mark.parametrize("instances", [1, 4, 10, 100])
    @pytest.mark.parametrize("size", [1, 1000, 10**6, 10**8, 10**9, 10**11])
    def test_are_never_larger_than_their_limit(self, size, instances):
        each = splitter.shard_bytes(size, instances)
        assert 1 <= each <= splitter.MAX_SHARD_BYTES
        count = -(-size // each)
        if size >= 10**6:
            assert count % instances == 0
            assert count / instances <= max(
                4, 1.1 * size / instances / splitter.MAX_SHARD_BYTES + 1
            )

    def test_of_many_short_records_end_by_count(self, batch_aws, steps, monkeypatch):
        monkeypatch.setattr(splitter, "MAX_SHARD_RECORDS", 500)
        cursor = split_all(steps, put_input(batch_aws, lines(1200)))
        counts = [batch_aws.text(key).count('"id"') for key in batch_aws.keys("shards/")]
        assert counts == [500, 500, 200]
        assert (cursor["shards"], cursor["accepted"]) == (3, 1200)

    def test_beyond_8_mib_are_written_in_parts(self, batch_aws, steps):
        content = lines(400, "z" * 95_000)
        split_all(steps, put_input(batch_aws, content))
        assert max(len(batch_aws.text(key)) for key in batch_aws.keys("shards/")) > 9 * MEBIBYTE
        assert batch_aws.called("UploadPart")
        assert batch_aws.uploads == {}
        assert [record["id"] for record in batch_aws.records()] == list(range(400))

    def test_an_upload_that_fails_leaves_nothing_behind(self, batch_aws, steps):
        batch_aws.broken["CompleteMultipartUpload"] = AwsError("InternalError", "", 500)
        asked = put_input(batch_aws, lines(360, "z" * 95_000))
        with pytest.raises(ClientError, match="InternalError"):
            split_all(steps, asked)
        assert state(batch_aws) == {}
        # Aborted once, not again by what comes after.
        assert len(batch_aws.called("AbortMultipartUpload")) == 1
        assert batch_aws.uploads == {}

    def test_many_rejects_end_a_file_of_rejects(self, batch_aws, steps, monkeypatch):
        monkeypatch.setattr(splitter, "MAX_REJECTS", 500)
        cursor = split_all(steps, put_input(batch_aws, b"x\n" * 1200))
        assert cursor["reject_parts"] == 3
        assert batch_aws.keys(f"output/{BATCH_ID}/") == [
            f"output/{BATCH_ID}/rejects/{number:05}.jsonl" for number in range(3)
        ]
        assert [r["line_number"] for r in batch_aws.rejects()] == list(range(1, 1201))


class TestCursor:
    CONTENT = b"".join(
        line(number, "x" * (number % 700)) + (b"bad\n" if number % 9 == 0 else b"")
        for number in range(20_000)
    )

    def test_interrupted_anywhere_gives_the_same_objects(self, batch_aws, steps):
        asked = put_input(batch_aws, self.CONTENT)
        whole = steps({"action": "split", "batch": asked, "cursor": None})
        at_once = state(batch_aws)
        assert whole["done"]
        batch_aws.objects.clear()
        assert split_all(steps, asked, seconds=0) == whole
        assert state(batch_aws) == at_once
        assert len(batch_aws.keys("shards/")) >= 4

    def test_a_repeated_step_writes_the_same_again(self, batch_aws, steps):
        """As after a crash: the previous invocation had got further, or less far."""
        asked = put_input(batch_aws, self.CONTENT)
        expected = split_all(steps, asked)
        first_run = state(batch_aws)
        batch_aws.objects.clear()
        one = steps({"action": "split", "batch": asked, "cursor": None}, 0)
        steps({"action": "split", "batch": asked, "cursor": one})  # to the end, and dies
        two = steps({"action": "split", "batch": asked, "cursor": one}, 0)
        # Another model since: the size of groups was fixed at the beginning.
        batch_aws.parameters[ENVIRONMENT["DEPLOYMENT_PARAMETER"]] = json.dumps(
            {**DEPLOYMENT, "dimension": 1_000_000}
        )
        last = steps({"action": "split", "batch": asked, "cursor": two})
        assert last == expected
        assert state(batch_aws) == first_run

    def test_stays_small(self, batch_aws, steps):
        cursor = split_all(steps, put_input(batch_aws, self.CONTENT))
        assert len(json.dumps(cursor)) < 500

    def test_a_file_that_ends_with_the_time_is_done(self, batch_aws, steps):
        asked = put_input(batch_aws, lines(10))
        assert steps({"action": "split", "batch": asked, "cursor": None}, 0)["done"] is True


class TestSource:
    def test_is_read_at_its_version(self, batch_aws, steps):
        asked = put_input(batch_aws, lines(5))
        batch_aws.objects[BUCKET, KEY] = b"another version"
        split_all(steps, asked)
        assert len(batch_aws.records()) == 5
        assert all(get["VersionId"] == "v1" for get in batch_aws.called("GetObject"))

    def test_without_versions_is_known_by_its_etag(self, batch_aws, steps):
        asked = batch(lines(20_000))
        asked["input"] |= {"version_id": None, "bucket": "elsewhere", "size": 3}
        batch_aws.objects["elsewhere", KEY] = lines(20_000, "x" * 100)
        cursor = steps({"action": "split", "batch": asked, "cursor": None}, 0)
        assert cursor["size"] == len(lines(20_000, "x" * 100))  # not as the event said
        batch_aws.objects["elsewhere", KEY] = lines(20_000, "y" * 100)
        with pytest.raises(BatchError, match="was replaced while being read") as caught:
            steps({"action": "split", "batch": asked, "cursor": cursor})
        assert "s3://elsewhere/input/questions.jsonl" in str(caught.value)

    def test_deleted_meanwhile_fails_with_a_sentence(self, batch_aws, steps):
        asked = put_input(batch_aws, lines(20_000, "x" * 100))
        cursor = steps({"action": "split", "batch": asked, "cursor": None}, 0)
        batch_aws.versions.clear()
        with pytest.raises(BatchError, match=r"\(version v1\) does not exist, or no longer does"):
            steps({"action": "split", "batch": asked, "cursor": cursor})

    def test_that_may_not_be_read_fails_with_a_sentence(self, batch_aws, steps):
        batch_aws.broken["GetObject"] = AwsError("AccessDenied", "Access Denied", 403)
        with pytest.raises(BatchError, match=r"cannot be read: .*AccessDenied"):
            split_all(steps, put_input(batch_aws, lines(5)))

    @pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("TooManyRequests", 429)])
    def test_momentary_errors_are_left_to_the_workflow(self, batch_aws, steps, code, status):
        batch_aws.broken["GetObject"] = AwsError(code, "", status)
        with pytest.raises(ClientError, match=code):
            split_all(steps, put_input(batch_aws, lines(5)))

    def test_a_broken_connection_is_resumed_where_it_broke(self, batch_aws, steps):
        content = lines(30_000)
        asked = put_input(batch_aws, content)
        get = batch_aws._get_object

        class Breaking(io.BytesIO):
            def read(self, size: int = -1) -> bytes:
                if self.tell() > 300_000:
                    raise ReadTimeoutError(endpoint_url="s3")
                return super().read(size)

        def get_breaking(request):
            answer = get(request)
            return {**answer, "Body": Breaking(answer["Body"].read())}

        batch_aws._get_object = get_breaking
        cursor = split_all(steps, asked)
        assert [record["id"] for record in batch_aws.records()] == list(range(30_000))
        assert cursor["offset"] == len(content)
        assert len(batch_aws.called("GetObject")) > 2
        assert all("IfMatch" in request for request in batch_aws.called("GetObject")[1:])

    def test_a_dead_connection_is_given_up(self, batch_aws, steps):
        class Dead(io.BytesIO):
            def read(self, size: int = -1) -> bytes:
                raise ReadTimeoutError(endpoint_url="s3")

        get = batch_aws._get_object
        batch_aws._get_object = lambda request: {**get(request), "Body": Dead()}
        with pytest.raises(ReadTimeoutError):
            split_all(steps, put_input(batch_aws, lines(5)))
        assert len(batch_aws.called("GetObject")) == 5

    def test_nothing_deployed_fails_with_a_sentence(self, batch_aws, steps):
        batch_aws.parameters.clear()
        with pytest.raises(BatchError, match=r"No model is deployed .* Deploy, then try again"):
            split_all(steps, put_input(batch_aws, lines(5)))
