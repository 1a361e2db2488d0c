"""How the workflow's outcome reaches CloudFormation."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.bake_scenarios import BUCKET, NEW, facts, name, output
from tests.support.recorded_aws import ACCOUNT, REGION

EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:Bake:request-1"


def finish(bake, aws, status: str, **members):
    aws.add_job(name(NEW), status, output(NEW), **members)
    job = {**aws.jobs[name(NEW)], "CreationTime": "2030-01-01T00:00:00Z"}
    return {
        "action": "finish",
        "event": bake.request("Create", NEW),
        "bake_id": NEW,
        "training_job_name": name(NEW),
        "job": job,
    }


class TestFinish:
    def test_marks_the_artifact_and_then_succeeds(self, aws, answers, bake):
        key = f"bakes/{NEW}/{name(NEW)}/output/model.tar.gz"
        aws.objects[BUCKET, key] = b"artifact"
        bake.handle(finish(bake, aws, "Completed"))
        url = f"s3://{BUCKET}/{key}"
        marker = json.loads(aws.objects[BUCKET, f"bakes/{NEW}/bake.json"])
        baked_at = marker["baked_at"]
        assert marker == {
            "bake_id": NEW,
            "model_data_url": url,
            "training_job_name": name(NEW),
            **facts(NEW),
            "baked_at": baked_at,
        }
        assert datetime.now(UTC) - datetime.fromisoformat(baked_at) < timedelta(minutes=1)
        assert answers.only["Status"] == "SUCCESS"
        assert answers.only["PhysicalResourceId"] == NEW
        assert answers.only["Data"] == {"ModelDataUrl": url, "TrainingJobName": name(NEW)}
        order = [operation for _, operation, _ in aws.requests]
        assert order.index("HeadObject") < order.index("PutObject")

    def test_a_marked_bake_is_reused(self, aws, answers, bake):
        aws.objects[BUCKET, f"bakes/{NEW}/{name(NEW)}/output/model.tar.gz"] = b"artifact"
        bake.handle(finish(bake, aws, "Completed"))
        bake("Create", NEW)
        assert answers.received[0] == answers.received[1]
        assert aws.executions == {}

    def test_no_artifact_no_marker(self, aws, answers, bake):
        bake.handle(finish(bake, aws, "Completed"))
        assert answers.only["Status"] == "FAILED"
        assert "is not in the artifacts bucket" in answers.only["Reason"]
        assert aws.called("PutObject") == []

    def test_gives_the_jobs_reason(self, aws, answers, bake):
        reason = "AlgorithmError: corpus.csv:7: empty answer, exit code: 1"
        bake.handle(finish(bake, aws, "Failed", FailureReason=reason))
        assert answers.only["Status"] == "FAILED"
        assert answers.only["PhysicalResourceId"] == NEW
        assert answers.only["Reason"].startswith(
            f"The bake's training job {name(NEW)} failed: {reason}."
        )
        assert f"streams {name(NEW)}/" in answers.only["Reason"]
        assert "batch transform" not in answers.only["Reason"]

    @pytest.mark.parametrize(
        "reason",
        [
            "AlgorithmError: OutOfMemoryError, exit code: 1",
            "ClientError: Please use an instance type with more memory, out of memory",
            "AlgorithmError: , exit code: 137",
            "The corpus is too large",
        ],
    )
    def test_names_batch_transform_if_the_corpus_is_too_large(self, aws, answers, bake, reason):
        bake.handle(finish(bake, aws, "Failed", FailureReason=reason))
        assert reason in answers.only["Reason"]
        assert answers.only["Reason"].count("batch transform") == 1

    @pytest.mark.parametrize(
        "reason",
        [
            "ClientError: Failed to download data. No space left on device",
            "The disk is full. Set a larger bake.volume_size_gb",
        ],
    )
    def test_names_the_setting_if_the_disk_is_full(self, aws, answers, bake, reason):
        bake.handle(finish(bake, aws, "Failed", FailureReason=reason))
        assert reason in answers.only["Reason"]
        assert answers.only["Reason"].count("bake.volume_size_gb") == 1
        assert "batch transform" not in answers.only["Reason"]

    def test_does_not_repeat_the_bakes_advice(self, aws, answers, bake):
        reason = "The corpus is too large: use batch transform."
        bake.handle(finish(bake, aws, "Failed", FailureReason=reason))
        assert answers.only["Reason"].count("batch transform") == 1

    def test_a_job_that_ran_out_of_time(self, aws, answers, bake):
        members = {"SecondaryStatus": "MaxRuntimeExceeded"}
        bake.handle(finish(bake, aws, "Stopped", **members))
        assert "was stopped: it reached its maximum run time." in answers.only["Reason"]
        assert "larger bake instance type" in answers.only["Reason"]

    def test_a_job_that_was_stopped(self, aws, answers, bake):
        bake.handle(finish(bake, aws, "Stopped", SecondaryStatus="Stopped"))
        assert f"training job {name(NEW)} was stopped." in answers.only["Reason"]


def fail(bake, error: str, cause: str):
    return {
        "action": "fail",
        "event": bake.request("Create", NEW),
        "bake_id": NEW,
        "training_job_name": name(NEW),
        "error": {"Error": error, "Cause": cause},
    }


class TestFail:
    @pytest.mark.parametrize(
        ("error", "cause", "sentence"),
        [
            (
                "SageMaker.ResourceLimitExceededException",
                "The account-level service limit 'ml.g5.2xlarge for training job usage' is 0. "
                "(Service: SageMaker, Status Code: 400, Request ID: 1)",
                "The bake failed: The account-level service limit "
                "'ml.g5.2xlarge for training job usage' is 0.",
            ),
            (
                "Exception",
                '{"errorMessage": "no marker", "errorType": "X", "stackTrace": ["secret"]}',
                "The bake failed: no marker.",
            ),
            ("States.Timeout", "", "The bake failed: States.Timeout."),
            ("X", "5", "The bake failed: 5."),
        ],
    )
    def test_gives_the_cause_in_a_sentence(self, aws, answers, bake, error, cause, sentence):
        bake.handle(fail(bake, error, cause))
        assert answers.only["Status"] == "FAILED"
        assert answers.only["Reason"] == sentence
        assert answers.only["PhysicalResourceId"] == NEW

    def test_leaves_no_job_running(self, aws, answers, bake):
        aws.add_job(name(NEW), "InProgress", output(NEW))
        bake.handle(fail(bake, "X", "y"))
        assert aws.jobs[name(NEW)]["TrainingJobStatus"] == "Stopping"

    @pytest.mark.parametrize("status", ["Completed", "Failed", None])
    def test_ignores_a_job_that_does_not_run(self, aws, answers, bake, status, caplog):
        if status:
            aws.add_job(name(NEW), status, output(NEW))
        bake.handle(fail(bake, "X", "y"))
        assert answers.only["Reason"] == "The bake failed: y."
        assert "ERROR" not in caplog.text


class TestEndedExecution:
    @pytest.fixture
    def ended(self, aws, bake):
        def make(status: str, **members):
            aws.executions[EXECUTION] = {
                "status": status,
                "input": json.dumps(
                    {
                        "event": bake.request("Create", NEW),
                        "bake_id": NEW,
                        "training_job": {"TrainingJobName": name(NEW)},
                    }
                ),
            }
            return {
                "source": "aws.states",
                "detail-type": "Step Functions Execution Status Change",
                "detail": {"executionArn": EXECUTION, "status": status, **members},
            }

        return make

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            ("FAILED", "failed"),
            ("TIMED_OUT", "timed out"),
            ("ABORTED", "was aborted"),
        ],
    )
    def test_is_answered_with_its_end(self, aws, answers, bake, ended, status, words):
        aws.add_job(name(NEW), "InProgress", output(NEW))
        bake.handle(ended(status))
        assert answers.only["Status"] == "FAILED"
        assert answers.only["PhysicalResourceId"] == NEW
        assert answers.only["Reason"] == f"The bake's workflow ({EXECUTION}) {words}."
        assert aws.jobs[name(NEW)]["TrainingJobStatus"] == "Stopping"

    def test_that_has_answered_is_not_answered_again(self, aws, answers, bake, ended):
        """A second answer might replace the first, which has the reason."""
        aws.add_job(name(NEW), "InProgress", output(NEW))
        bake.handle(
            ended("FAILED", error="BakeFailed", cause="The answer to CloudFormation says why.")
        )
        assert answers.received == []
        assert aws.jobs[name(NEW)]["TrainingJobStatus"] == "InProgress"

    def test_gives_the_cause(self, answers, bake, ended):
        bake.handle(ended("FAILED", error="States.Runtime", cause="a path leads nowhere"))
        assert answers.only["Reason"].endswith(") failed: a path leads nowhere.")
