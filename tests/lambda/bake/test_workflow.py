"""The state machine, interpreted: from CloudFormation's request to its answer."""

from __future__ import annotations

from typing import Any

import pytest

from stage.bundles import ROOT
from tests.support.bake_scenarios import BUCKET, NEW, name, output, started
from tests.support.recorded_aws import ACCOUNT, REGION, AwsError, RecordedAws
from tests.support.state_machine import run_execution, tasks_through

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:Bake"
DEFINITION = (ROOT / "stacks/model/bake.asl.json").read_text(encoding="utf-8")


@pytest.fixture
def run(aws, bake):
    """Runs a Create request through the function and the whole workflow; returns how it ended."""
    aws.functions[FUNCTION] = bake.handle

    def run(**changes: Any) -> str:
        bake("Create", NEW)
        task = {**started(aws), **changes}
        ended = run_execution(DEFINITION, task, BakeFunctionArn=FUNCTION)
        return ended.get("error", ended["status"])

    with tasks_through(aws.client):
        yield run


def artifact_is_there(aws: RecordedAws) -> str:
    key = f"bakes/{NEW}/{name(NEW)}/output/model.tar.gz"
    aws.objects[BUCKET, key] = b"artifact"
    return f"s3://{BUCKET}/{key}"


def test_a_bake_from_request_to_answer(aws, answers, run):
    url = artifact_is_there(aws)
    aws.outcome = {"TrainingJobStatus": "Completed"}
    assert run() == "SUCCEEDED"
    assert answers.only["Status"] == "SUCCESS"
    assert answers.only["Data"] == {"ModelDataUrl": url, "TrainingJobName": name(NEW)}
    assert (BUCKET, f"bakes/{NEW}/bake.json") in aws.objects
    [request] = aws.called("CreateTrainingJob")
    assert request["ResourceConfig"]["VolumeSizeInGB"] == 30
    assert request["AlgorithmSpecification"]["ContainerEntrypoint"][0] == "python3"


def test_a_job_that_fails_fails_the_resource_with_its_reason(aws, answers, run):
    aws.outcome = {"TrainingJobStatus": "Failed", "FailureReason": "corpus.csv:3: empty answer"}
    assert run() == "BakeFailed"
    assert answers.only["Status"] == "FAILED"
    assert "corpus.csv:3: empty answer" in answers.only["Reason"]


def test_a_job_in_progress_is_joined(aws, answers, run):
    artifact_is_there(aws)
    aws.add_job(name(NEW), "InProgress", output(NEW))
    # The function, which chooses the name, still sees the job running.
    aws.before["StartExecution"] = lambda: aws.outcome.update(TrainingJobStatus="Completed")
    assert run() == "SUCCEEDED"
    assert answers.only["Status"] == "SUCCESS"
    assert len(aws.called("CreateTrainingJob")) == 1


def test_past_the_deadline_the_job_is_stopped_and_the_resource_fails(aws, answers, run):
    assert run(deadline="2020-01-01T00:00:00Z") == "BakeFailed"
    assert answers.only["Status"] == "FAILED"
    assert "50 minutes after the request" in answers.only["Reason"]
    assert "batch transform" in answers.only["Reason"]
    assert aws.jobs[name(NEW)]["TrainingJobStatus"] == "Stopping"


def test_a_job_that_ended_counts_even_past_the_deadline(aws, answers, run):
    artifact_is_there(aws)
    aws.outcome = {"TrainingJobStatus": "Completed"}
    run(deadline="2020-01-01T00:00:00Z")
    assert answers.only["Status"] == "SUCCESS"


@pytest.mark.parametrize("operation", ["CreateTrainingJob", "DescribeTrainingJob"])
def test_an_error_of_sagemaker_becomes_the_reason(aws, answers, run, operation):
    error = AwsError("AccessDeniedException", "That is not allowed here")
    # Only in the workflow: the function may describe.
    aws.before["StartExecution"] = lambda: aws.broken.update({operation: error})
    assert run() == "BakeFailed"
    assert answers.only["Reason"] == "The bake failed: That is not allowed here."


def test_a_stop_that_fails_does_not_prevent_the_answer(aws, answers, run):
    aws.broken["StopTrainingJob"] = AwsError("AccessDeniedException", "no")
    assert run(deadline="2020-01-01T00:00:00Z") == "BakeFailed"
    assert "50 minutes after the request" in answers.only["Reason"]


def test_a_finish_that_breaks_is_reported(aws, answers, run):
    artifact_is_there(aws)
    aws.outcome = {"TrainingJobStatus": "Completed"}
    aws.broken["PutObject"] = AwsError("AccessDenied", "the marker may not be written", 403)
    assert run() == "BakeFailed"
    assert answers.only["Status"] == "FAILED"
    assert "the marker may not be written" in answers.only["Reason"]


def test_without_an_answer_the_execution_fails_so_that_the_event_rule_answers(aws, answers, run):
    aws.outcome = {"TrainingJobStatus": "Failed"}
    answers.refusals = [403] * 100
    assert run() == "Unanswered"
    assert answers.received == []
