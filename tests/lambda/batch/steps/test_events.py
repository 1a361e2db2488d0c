"""What the event rules deliver, and the action "fail"."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from contract import batch_objects as names
from tests.support.batch_scenarios import (
    BATCH_ID,
    BUCKET,
    DEPLOYMENT,
    KEY,
    MACHINE,
    TEAM,
    batch,
)
from tests.support.recorded_aws import AwsError

JOB = names.transform_job_name("faq-search-dev", BATCH_ID)
UPLOAD = names.upload_key(BATCH_ID)


def created(key: str = KEY, version_id: str | None = "v1", bucket: str = BUCKET, size: int = 77):
    """The event of a file that was put, as EventBridge delivers it."""
    source = {"key": key, "size": size, "etag": "e", "sequencer": "0062E99A88DC407460"}
    if version_id:
        source["version-id"] = version_id
    return {
        "id": "2d4eba74-fd51-3966-4bfa-b013c9da8ff1",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2025-11-13T00:00:59Z",
        "detail": {"bucket": {"name": bucket}, "object": source, "reason": "PutObject"},
    }


def only_execution(aws) -> tuple[str, dict]:
    [(arn, execution)] = aws.executions.items()
    return arn.rpartition(":")[2], json.loads(execution["input"])


class TestFiles:
    def test_start_a_batch_each(self, batch_aws, steps):
        steps(created())
        name, task = only_execution(batch_aws)
        assert name == names.batch_id_of_object(BUCKET, KEY, "v1")
        assert task == {
            "batch_id": name,
            "input": {"bucket": BUCKET, "key": KEY, "version_id": "v1", "size": 77},
            "instance_count": 2,
            "merge": False,
            "owner": None,
            "requested_at": "2025-11-13T00:00:59Z",
        }

    def test_repeated_events_start_no_second_batch(self, batch_aws, steps):
        steps(created())
        steps({**created(), "id": "another"})
        assert len(batch_aws.executions) == 1
        assert len(batch_aws.called("StartExecution")) == 2

    def test_other_versions_start_other_batches(self, batch_aws, steps):
        for version_id in ("v1", "v2", None):
            steps(created(version_id=version_id))
        assert len(batch_aws.executions) == 3

    @pytest.mark.parametrize(
        "event",
        [
            created(key="input/folder/"),
            created(key="input/"),
            created(key="output/x.jsonl"),
            created(key="inputs/x.jsonl"),
            created(bucket="another"),
        ],
    )
    def test_elsewhere_start_none(self, batch_aws, steps, event):
        steps(event)
        assert batch_aws.executions == {}

    @pytest.mark.parametrize("key", ["input/a b+ü&%20.jsonl", "input/uploads/x.jsonl", "input/a"])
    def test_of_any_name_are_accepted(self, batch_aws, steps, key):
        steps(created(key=key))
        assert only_execution(batch_aws)[1]["input"]["key"] == key

    def test_that_cannot_be_started_are_retried_by_lambda(self, batch_aws, steps):
        batch_aws.broken["StartExecution"] = AwsError("ThrottlingException", "")
        with pytest.raises(Exception, match="ThrottlingException"):
            steps(created())


class TestUploads:
    def asked(self, aws, **members):
        document = {
            "batch_id": BATCH_ID,
            "owner": TEAM,
            "instance_count": 5,
            "merge": True,
            **members,
        }
        aws.objects[BUCKET, f"requests/{BATCH_ID}.json"] = json.dumps(document).encode()

    def test_run_as_requested(self, batch_aws, steps):
        self.asked(batch_aws, stopped_at=None)
        steps(created(key=UPLOAD))
        name, task = only_execution(batch_aws)
        assert name == task["batch_id"] == BATCH_ID
        assert (task["instance_count"], task["merge"], task["owner"]) == (5, True, TEAM)
        assert task["input"]["key"] == UPLOAD

    def test_repeated_start_no_second_batch(self, batch_aws, steps):
        self.asked(batch_aws)
        steps(created(key=UPLOAD))
        steps(created(key=UPLOAD, version_id="v2"))
        assert len(batch_aws.executions) == 1

    def test_that_were_stopped_do_not_begin(self, batch_aws, steps):
        self.asked(batch_aws, stopped_at="2025-11-01T00:00:00Z")
        steps(created(key=UPLOAD))
        assert batch_aws.executions == {}

    def test_without_a_request_are_files_like_others(self, batch_aws, steps):
        steps(created(key=UPLOAD))
        name, task = only_execution(batch_aws)
        assert name == names.batch_id_of_object(BUCKET, UPLOAD, "v1")
        assert task["instance_count"] == 2

    def test_whose_request_cannot_be_read_are_retried_by_lambda(self, batch_aws, steps):
        batch_aws.broken["GetObject"] = AwsError("AccessDenied", "", 403)
        with pytest.raises(Exception, match="AccessDenied"):
            steps(created(key=UPLOAD))
        assert batch_aws.executions == {}


def ended(status: str, **members):
    arn = names.execution_arn(MACHINE, BATCH_ID)
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "time": "2025-11-13T00:00:59Z",
        "detail": {
            "executionArn": arn,
            "stateMachineArn": MACHINE,
            "name": BATCH_ID,
            "status": status,
            "startDate": 1_763_000_000_000,
            "stopDate": 1_763_000_100_000,
            "input": None,
            "output": None,
            "error": None,
            "cause": None,
            **members,
        },
    }


@pytest.fixture
def broken_execution(batch_aws):
    arn = names.execution_arn(MACHINE, BATCH_ID)
    batch_aws.executions[arn] = {"input": json.dumps(batch(b"12345")), "status": "ABORTED"}


@pytest.mark.usefixtures("broken_execution")
class TestBrokenExecutions:
    @pytest.mark.parametrize("attempt", [1, 2, 3])
    def test_leave_no_job_behind(self, batch_aws, steps, pauses, attempt):
        name = names.transform_job_name("faq-search-dev", BATCH_ID, attempt)
        batch_aws.add_transform_job(name, "InProgress")
        batch_aws.add_transform_job("faq-search-dev-" + "0" * 32, "InProgress")
        steps(ended("ABORTED"))
        assert batch_aws.transform_jobs[name]["TransformJobStatus"] == "Stopping"
        others = [job["TransformJobStatus"] for job in batch_aws.transform_jobs.values()]
        assert others.count("InProgress") == 1
        assert pauses == []

    def test_leave_no_job_behind_that_was_just_being_created(self, batch_aws, steps, monkeypatch):
        monkeypatch.setattr(
            "time.sleep",
            lambda _: batch_aws.add_transform_job(JOB, "InProgress"),
        )
        steps(ended("ABORTED"))
        assert batch_aws.transform_jobs[JOB]["TransformJobStatus"] == "Stopping"

    @pytest.mark.parametrize(
        ("detail", "status", "reason"),
        [
            ({"status": "ABORTED"}, "stopped", "The batch was stopped."),
            (
                {"status": "ABORTED", "cause": "It was stopped by request."},
                "stopped",
                "It was stopped by request.",
            ),
            (
                {"status": "TIMED_OUT"},
                "failed",
                "The batch exceeded the time limit of its workflow.",
            ),
            (
                {"status": "FAILED", "error": "States.Runtime", "cause": "history limit"},
                "failed",
                "The batch's workflow failed: history limit.",
            ),
            ({"status": "FAILED", "error": "X"}, "failed", "The batch's workflow failed: X."),
        ],
    )
    def test_get_a_report(self, batch_aws, steps, pauses, detail, status, reason):
        batch_aws.objects[BUCKET, f"output/{BATCH_ID}/00003.jsonl.out"] = b""
        steps(ended(**detail))
        report = batch_aws.report()
        assert (report["status"], report["reason"]) == (status, reason)
        assert report["input"]["bytes"] == 5
        assert set(report["records"].values()) == {None}
        assert report["output"] == [f"s3://{BUCKET}/output/{BATCH_ID}/00003.jsonl.out"]
        assert report["transform_job"] is report["deployment"] is report["cost_estimate"] is None

    @pytest.mark.parametrize("status", ["ABORTED", "FAILED", "TIMED_OUT"])
    def test_keep_the_report_they_have(self, batch_aws, steps, pauses, status):
        batch_aws.objects[BUCKET, f"output/{BATCH_ID}/report.json"] = b'{"status": "completed"}'
        steps(ended(status))
        assert batch_aws.report() == {"status": "completed"}
        assert bool(pauses) == (status != "FAILED")

    def test_whose_job_cannot_be_stopped_are_retried_by_lambda(self, batch_aws, steps, pauses):
        batch_aws.broken["StopTransformJob"] = AwsError("ThrottlingException", "")
        with pytest.raises(Exception, match="ThrottlingException"):
            steps(ended("ABORTED"))


class TestFail:
    def fail(self, steps, error, **members):
        event = {
            "action": "fail",
            "batch": batch(b"12345"),
            "cursor": None,
            "transform_job": None,
            "deployment": None,
            "job": None,
            "error": error,
            **members,
        }
        return steps(event)

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (
                {
                    "Error": "BatchError",
                    "Cause": json.dumps(
                        {"errorType": "BatchError", "errorMessage": "The file is empty."}
                    ),
                },
                "The file is empty.",
            ),
            (
                {
                    "Error": "ClientError",
                    "Cause": json.dumps({"errorType": "ClientError", "errorMessage": "SlowDown"}),
                },
                "The batch failed: SlowDown.",
            ),
            (
                {
                    "Error": "SageMaker.ResourceLimitExceededException",
                    "Cause": "The limit is 0 instances. (Service: SageMaker, Status Code: 400,"
                    " Request ID: 1)",
                },
                "The batch failed: The limit is 0 instances.",
            ),
            ({"Error": "States.Timeout"}, "The batch failed: States.Timeout."),
            ({"Error": "States.Timeout", "Cause": None}, "The batch failed: States.Timeout."),
            ({"Error": "X", "Cause": '"a string"'}, 'The batch failed: "a string".'),
            ({}, "The batch failed."),
        ],
    )
    def test_reports_the_error(self, batch_aws, steps, error, reason):
        assert self.fail(steps, error) == {"status": "failed"}
        report = batch_aws.report()
        assert (report["status"], report["reason"]) == ("failed", reason)
        now = datetime.now(UTC)
        ended_at = datetime.fromisoformat(report["ended_at"])
        assert abs((now - ended_at).total_seconds()) < 60

    def test_reports_how_far_the_batch_got(self, batch_aws, steps):
        cursor = {
            "size": 5,
            "line_number": 4,
            "accepted": 2,
            "rejected": 1,
            "blank": 1,
            "reject_parts": 2,
        }
        request = {
            "TransformJobName": JOB,
            "TransformResources": {"InstanceType": "ml.c6i.xlarge", "InstanceCount": 1},
        }
        self.fail(
            steps,
            {"Error": "X"},
            cursor=cursor,
            transform_job=request,
            deployment=DEPLOYMENT,
            job={"TransformJobStatus": "InProgress"},
        )
        report = batch_aws.report()
        assert report["records"] == {
            "accepted": 2,
            "rejected": 1,
            "blank": 1,
            "embedded": None,
            "failed": None,
        }
        assert [uri.rpartition("/")[2] for uri in report["rejects"]] == [
            "00000.jsonl",
            "00001.jsonl",
        ]
        assert report["transform_job"]["name"] == JOB
        assert report["transform_job"]["seconds"] is None
        assert report["deployment"] == DEPLOYMENT

    def test_stops_a_running_job(self, batch_aws, steps):
        batch_aws.add_transform_job(JOB, "InProgress")
        self.fail(steps, {"Error": "X"})
        assert batch_aws.transform_jobs[JOB]["TransformJobStatus"] == "Stopping"

    def test_reports_even_if_the_job_cannot_be_stopped(self, batch_aws, steps):
        batch_aws.broken["StopTransformJob"] = AwsError("AccessDeniedException", "no")
        self.fail(steps, {"Error": "X"})
        assert batch_aws.report()["status"] == "failed"

    def test_replaces_an_existing_report(self, batch_aws, steps):
        batch_aws.objects[BUCKET, f"output/{BATCH_ID}/report.json"] = b'{"status": "completed"}'
        self.fail(steps, {"Error": "X"})
        assert batch_aws.report()["status"] == "failed"
