"""The action "gather": counts, the merged file, and the report."""

from __future__ import annotations

import json
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.steps import gather, merge
from container.serving.responses import record_error_json, record_json
from tests.support.batch_scenarios import (
    BATCH_ID,
    BUCKET,
    DEPLOYMENT,
    MEBIBYTE,
    TEAM,
    put_input,
    split_all,
)
from tests.support.recorded_aws import AwsError

MIN, MOST = 50, 170  # instead of 5 MiB and 512 MiB
MERGED = f"output/{BATCH_ID}/embeddings.jsonl"
JOB = f"faq-search-dev-{BATCH_ID.replace('-', '')}"


def content_of(count: int) -> bytes:
    """Records, every tenth of which the model cannot encode, and a bad line at the end."""
    texts = ("unencodable" if number % 10 == 0 else "a question" for number in range(count))
    good = (json.dumps({"id": n, "text_inputs": text}) for n, text in enumerate(texts))
    return "\n".join([*good, "", "bad"]).encode()


@pytest.fixture
def transformed(batch_aws, steps):
    """Runs a batch up to the end of its transform job; returns the event of "gather"."""

    def run(count: int = 2000, **changes):
        asked = put_input(batch_aws, content_of(count)) | {"instance_count": 2, **changes}
        cursor = split_all(steps, asked)
        prepared = steps({"action": "prepare", "batch": asked, "cursor": cursor, "attempt": 0})
        sagemaker = batch_aws.client("sagemaker")
        sagemaker.create_transform_job(**prepared["transform_job"])
        job = sagemaker.describe_transform_job(
            TransformJobName=prepared["transform_job"]["TransformJobName"]
        )
        return {
            "action": "gather",
            "batch": asked,
            "cursor": cursor,
            "transform_job": prepared["transform_job"],
            "deployment": prepared["deployment"],
            "job": {key: value for key, value in job.items() if key != "ResponseMetadata"},
            "gather": None,
        }

    return run


def gather_all(steps, event, seconds: float = 900):
    """Gathers to the end, as the workflow does; returns the last answer and the count of steps."""
    count = 0
    while True:
        count += 1
        gathered = steps(event, seconds)
        if gathered["done"]:
            return gathered, count
        assert gathered != event["gather"]
        event = {**event, "gather": gathered}


class TestReport:
    def test_of_a_batch_that_went_well(self, batch_aws, steps, transformed):
        event = transformed()
        gathered, _ = gather_all(steps, event)
        assert gathered["status"] == "completed"
        report = batch_aws.report()
        assert report.pop("seconds") >= 0
        assert report.pop("ended_at") > report.pop("started_at") == "2025-11-01T00:00:00Z"
        assert report == {
            "batch_id": BATCH_ID,
            "owner": TEAM,
            "status": "completed",
            "input": {
                "s3_uri": f"s3://{BUCKET}/input/questions.jsonl",
                "version_id": "v1",
                "bytes": len(content_of(2000)),
                "lines": 2002,
            },
            "records": {
                "accepted": 2000,
                "rejected": 1,
                "blank": 1,
                "embedded": 1800,
                "failed": 200,
            },
            "rejects": [f"s3://{BUCKET}/output/{BATCH_ID}/rejects/00000.jsonl"],
            "output": [
                f"s3://{BUCKET}/output/{BATCH_ID}/{number:05}.jsonl.out" for number in range(2)
            ],
            "merged": None,
            "deployment": {
                key: value for key, value in DEPLOYMENT.items() if key != "corpus_sha256"
            },
            "transform_job": {
                "name": JOB,
                "instance_type": "ml.c6i.xlarge",
                "instance_count": 2,
                "seconds": 1800,
            },
            "cost_estimate": {
                "currency": "USD",
                "amount": 0.238,
                "instance_hours": 1.0,
                "price_per_hour": 0.238,
                "prices_as_of": "2025-11-01",
            },
        }

    def test_names_the_outputs_wherever_they_are(self, batch_aws, steps, transformed):
        event = transformed()
        for key in batch_aws.keys(f"output/{BATCH_ID}/0"):
            moved = key.replace(BATCH_ID, f"{BATCH_ID}/{BATCH_ID}")
            batch_aws.objects[BUCKET, moved] = batch_aws.objects.pop((BUCKET, key))
        gathered, _ = gather_all(steps, event)
        assert gathered["status"] == "completed"
        assert batch_aws.report()["output"][0].endswith(f"{BATCH_ID}/{BATCH_ID}/00000.jsonl.out")

    @pytest.mark.parametrize("lost", ["a shard's answers", "one answer"])
    def test_with_missing_answers_is_a_failure(self, batch_aws, steps, transformed, lost):
        event = transformed()
        key = (BUCKET, f"output/{BATCH_ID}/00001.jsonl.out")
        if lost == "one answer":
            batch_aws.objects[key] = batch_aws.objects[key].partition(b"\n")[2]
        else:
            del batch_aws.objects[key]
        gathered, _ = gather_all(steps, event)
        report = batch_aws.report()
        assert gathered["status"] == report["status"] == "failed"
        answered = report["records"]["embedded"] + report["records"]["failed"]
        assert report["reason"] == (
            f"The results are incomplete: {answered:,} of 2,000 records have an answer."
        )

    def test_of_a_failed_job_says_why_and_names_what_exists(self, batch_aws, steps, transformed):
        batch_aws.fail_shards = {0}
        batch_aws.transform_outcome = {
            "TransformJobStatus": "Failed",
            "FailureReason": "AlgorithmError: See job logs for more information",
        }
        gathered, _ = gather_all(steps, transformed(merge=True))
        report = batch_aws.report()
        assert gathered["status"] == report["status"] == "failed"
        assert report["reason"].startswith(
            f"The transform job {JOB} failed: AlgorithmError: See job logs for more information."
            f" Its log is in the CloudWatch group /aws/sagemaker/TransformJobs, streams {JOB}/*."
            " The results are incomplete: "
        )
        assert len(report["output"]) == 1
        assert 0 < report["records"]["embedded"] < 1800
        assert report["merged"] is None
        assert MERGED not in batch_aws.keys("output/")

    def test_of_a_job_whose_disk_was_full_says_what_to_do(self, batch_aws, steps, transformed):
        batch_aws.fail_shards = {0}
        batch_aws.transform_outcome = {
            "TransformJobStatus": "Failed",
            "FailureReason": "InternalServerError: No space left on device",
        }
        gather_all(steps, transformed())
        reason = batch_aws.report()["reason"]
        assert "No space left on device. The disk of an instance is full." in reason
        assert "bake.volume_size_gb: choose a batch.instance_type with more storage" in reason

    def test_of_a_stopped_job(self, batch_aws, steps, transformed):
        batch_aws.fail_shards = {1}
        batch_aws.transform_outcome = {"TransformJobStatus": "Stopped"}
        gathered, _ = gather_all(steps, transformed())
        report = batch_aws.report()
        assert gathered["status"] == report["status"] == "stopped"
        assert report["reason"].startswith(f"The transform job {JOB} was stopped. The results are")
        assert len(report["output"]) == 1

    @pytest.mark.parametrize("times", [{}, {"TransformStartTime": 1_762_000_000.5}])
    def test_without_times_has_no_cost(self, batch_aws, steps, transformed, times):
        event = transformed()
        for name in ("TransformStartTime", "TransformEndTime"):
            del event["job"][name]
        event["job"].update(times)
        gather_all(steps, event)
        assert batch_aws.report()["cost_estimate"] is None
        assert batch_aws.report()["transform_job"]["seconds"] is None

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (1_762_000_000.5, 1_762_000_360.5),
            ("2025-11-01T12:26:40.500Z", "2025-11-01T12:32:40.500Z"),
            ("2025-11-01T12:26:40+00:00", "2025-11-01T12:32:40+00:00"),
            ("2025-11-01 12:26:40", "2025-11-01 12:32:40"),
        ],
    )
    def test_reads_times_as_services_write_them(self, batch_aws, steps, transformed, start, end):
        event = transformed()
        event["job"] |= {"TransformStartTime": start, "TransformEndTime": end}
        gather_all(steps, event)
        assert batch_aws.report()["transform_job"]["seconds"] == 360
        assert batch_aws.report()["cost_estimate"]["instance_hours"] == 0.2


class TestCursor:
    @pytest.mark.parametrize("merge", [False, True])
    def test_interrupted_anywhere_gives_the_same_report(self, batch_aws, steps, transformed, merge):
        event = transformed(merge=merge)
        at_once, one = gather_all(steps, event)
        report = batch_aws.report()
        in_steps, many = gather_all(steps, event, seconds=0)
        assert (one, many) == (1, 3 + merge)
        later = batch_aws.report()
        assert {**later, "ended_at": 0, "seconds": 0} == {**report, "ended_at": 0, "seconds": 0}
        assert in_steps["embedded"] == at_once["embedded"] == 1800
        assert len(json.dumps(in_steps)) < 500


class TestCount:
    LINES = (
        b'{"id":1,"embedding":[0.25,-0.5]}\n'
        b'{"id":"\\"embedding\\":[","error":"\\"embedding\\":[ and \\"error\\":\\""}\n'
        b'{"id":"error","embedding":[1.0]}\n'
        b'{"id":null,"error":"x"}'
    )

    @pytest.mark.parametrize("size", [*range(1, 16), 1000])
    def test_does_not_depend_on_chunks(self, size):
        chunks = [self.LINES[at : at + size] for at in range(0, len(self.LINES), size)]
        assert gather.count_answers(chunks) == (2, 2)

    def test_of_the_containers_answers(self):
        vector = np.array([0.25, -1e-30], dtype=np.float32)
        answers = [
            record_json('"error":"', vector),
            record_error_json('"embedding":[', 'text_inputs is "error":"'),
            record_error_json(None, "the line is null"),
        ]
        assert gather.count_answers([b"\n".join(answers)]) == (1, 2)

    def test_of_nothing(self):
        assert gather.count_answers([]) == (0, 0)


def concatenated(sources: dict[str, bytes]) -> bytes:
    lines = (
        content if not content or content.endswith(b"\n") else content + b"\n"
        for content in sources.values()
    )
    return b"".join(lines)


def plan(sources: dict[str, bytes]) -> list:
    """Each part, and whether S3 is to copy it."""
    with patch.multiple(merge, MIN_PART_BYTES=MIN, MAX_COPY_BYTES=MOST):
        parts = merge.plan_parts(
            merge.Source(key, len(content), not content or content.endswith(b"\n"))
            for key, content in sources.items()
        )
        return [(part, merge.copied_range(part) is not None) for part in parts]


def sized(size: int, ends_line: bool, mark: int) -> bytes:
    body = bytes([mark % 9 + 65]) * size
    return body[:-1] + b"\n" if ends_line and size else body


class TestPlan:
    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.one_of(
                    st.integers(0, 5),
                    st.integers(MIN - 3, MIN + 3),
                    st.integers(2 * MIN - 3, 2 * MIN + 3),
                    st.integers(MOST - 3, 4 * MOST),
                ),
                st.booleans(),
            ),
            max_size=8,
        )
    )
    def test_gives_all_bytes_in_parts_that_s3_accepts(self, shapes):
        sources = {
            str(number): sized(size, ends_line, number)
            for number, (size, ends_line) in enumerate(shapes)
        }
        parts = plan(sources)
        contents = [
            b"".join(
                piece if isinstance(piece, bytes) else sources[piece.key][piece.start : piece.end]
                for piece in part
            )
            for part, _ in parts
        ]
        assert b"".join(contents) == concatenated(sources)
        assert all(len(content) >= MIN for content in contents[:-1])
        for (part, is_copied), content in zip(parts, contents, strict=True):
            if is_copied:
                [piece] = part
                assert len(content) <= MOST
                # A range can be copied of an object above 5 MiB only.
                assert piece.is_whole or len(sources[piece.key]) > MIN
            else:
                # What is put together is small: it is all that is ever held.
                assert len(content) < MIN or len(part) > 1
                assert len(content) <= MIN + 1

    def test_cuts_what_is_too_large_for_one_copy(self):
        [*parts] = merge.plan_parts([merge.Source("a", 3 * 1024**3 + 7, True)])
        sizes = [part[0].size for part in parts]
        assert sum(sizes) == 3 * 1024**3 + 7
        assert max(sizes) <= merge.MAX_COPY_BYTES
        assert min(sizes) > 400 * MEBIBYTE


class TestMerge:
    @pytest.mark.parametrize("ends_lines", [True, False])
    @pytest.mark.parametrize("seconds", [900, 0])
    def test_gives_every_answer_in_order_of_the_input(
        self, batch_aws, steps, transformed, ends_lines, seconds
    ):
        batch_aws.ends_lines = ends_lines
        gathered, _ = gather_all(steps, transformed(merge=True), seconds)
        assert gathered["status"] == "completed"
        lines = batch_aws.text(MERGED).splitlines()
        assert [json.loads(line)["id"] for line in lines] == list(range(2000))
        assert batch_aws.report()["merged"] == f"s3://{BUCKET}/{MERGED}"
        assert batch_aws.uploads == {}

    @pytest.mark.parametrize("seconds", [900, 0])
    def test_copies_what_is_large(self, batch_aws, steps, transformed, seconds):
        event = transformed(merge=True)
        contents = []
        for number in range(2):
            key = (BUCKET, f"output/{BATCH_ID}/{number:05}.jsonl.out")
            batch_aws.objects[key] += b'{"x":0}\n' * 900_000  # 7 MB that are not counted
            contents.append(batch_aws.objects[key])
        gather_all(steps, event, seconds)
        assert batch_aws.objects[BUCKET, MERGED] == b"".join(contents)
        assert len(batch_aws.called("UploadPartCopy")) == 2
        assert batch_aws.called("UploadPart") == []

    def before_the_end(self, steps, event) -> dict:
        """Two shards counted, and all parts uploaded."""
        for _ in range(3):
            event = {**event, "gather": steps(event, 0)}
        assert event["gather"]["merge"]["parts"] == 1
        return event["gather"]

    def test_completed_by_a_lost_invocation_is_noticed(self, batch_aws, steps, transformed):
        event = transformed(merge=True)
        cursor = self.before_the_end(steps, event)
        gather_all(steps, {**event, "gather": cursor})
        again, _ = gather_all(steps, {**event, "gather": cursor})
        assert again["status"] == "completed"
        assert batch_aws.report()["merged"] is not None

    def test_whose_upload_is_lost_fails(self, batch_aws, steps, transformed):
        event = transformed(merge=True)
        cursor = self.before_the_end(steps, event)
        batch_aws.uploads.clear()
        with pytest.raises(Exception, match="NoSuchUpload"):
            gather_all(steps, {**event, "gather": cursor})

    def test_beyond_the_limit_of_s3_is_left_out_with_a_sentence(
        self, batch_aws, steps, transformed, monkeypatch
    ):
        monkeypatch.setattr(merge, "MAX_OBJECT_BYTES", 1000)
        gathered, _ = gather_all(steps, transformed(merge=True))
        report = batch_aws.report()
        assert gathered["status"] == report["status"] == "completed"
        assert report["merged"] is None
        assert report["reason"].startswith("The outputs are too large for one file (2 with ")
        assert batch_aws.called("CreateMultipartUpload") == []

    def test_an_error_of_s3_is_left_to_the_workflow(self, batch_aws, steps, transformed):
        event = transformed(merge=True)
        batch_aws.broken["UploadPart"] = AwsError("InternalError", "", 500)
        with pytest.raises(Exception, match="InternalError"):
            gather_all(steps, event)
        assert batch_aws.keys(f"output/{BATCH_ID}/report") == []
