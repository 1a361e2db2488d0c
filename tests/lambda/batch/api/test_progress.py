"""The batch routes: how far a batch is, its results, and stopping it."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from pydantic import TypeAdapter

from batch.api import answers
from contract.batch_objects import transform_job_name
from tests.support.batch_scenarios import BUCKET, TEAM
from tests.support.recorded_aws import AwsError

ID = "0f0e0d0c-0b0a-4908-8706-050403020100"
JOB = transform_job_name("faq-search-dev", ID)
OUTPUT = f"s3://{BUCKET}/output/{ID}"
REPORT = {
    "batch_id": ID,
    "status": "completed",
    "input": {"s3_uri": f"s3://{BUCKET}/input/a", "version_id": None, "bytes": 9, "lines": 3},
    "records": {"accepted": 2, "rejected": 1, "blank": 0, "embedded": 2, "failed": 0},
    "rejects": [f"{OUTPUT}/rejects/00000.jsonl"],
    "output": [f"{OUTPUT}/00000.jsonl.out", f"{OUTPUT}/00001.jsonl.out"],
    "merged": f"{OUTPUT}/embeddings.jsonl",
    "deployment": {"bake_id": "b", "model_id": "m", "model_version": "1", "dimension": 384},
    "transform_job": {
        "name": JOB,
        "instance_type": "ml.c6i.xlarge",
        "instance_count": 1,
        "seconds": 60,
    },
    "started_at": "2026-01-01T00:00:00Z",
    "ended_at": "2026-01-01T00:05:00Z",
    "seconds": 300,
    "cost_estimate": None,
}


def running(api, *jobs):
    api.execution(ID)
    for name, status in jobs:
        api.aws.add_transform_job(name, status)


def reported(api, **changes):
    api.put(f"output/{ID}/report.json", REPORT | {"owner": TEAM} | changes)


@pytest.mark.parametrize(
    ("jobs", "status"),
    [
        ([], "checking"),
        ([(JOB, "InProgress")], "transforming"),
        ([(JOB, "Stopping")], "transforming"),
        ([(JOB, "Completed")], "gathering"),
        ([(JOB, "Stopped")], "gathering"),
        ([(JOB, "Failed"), (f"{JOB}-2", "InProgress")], "transforming"),
        ([(f"{JOB}-3", "Completed")], "gathering"),
    ],
)
def test_a_running_batch(api, jobs, status):
    running(api, *jobs)
    assert api.look(ID) == (200, {"batch_id": ID, "status": status, "request_id": "request-1"})


def test_an_ended_batch_has_its_report_and_results_to_fetch(api, monkeypatch):
    reported(api)
    status, answer = api.look(ID)
    assert (status, answer["status"], answer["report"]) == (200, "completed", REPORT)
    in_order = [REPORT["merged"], *REPORT["output"], *REPORT["rejects"]]
    assert [one["s3_uri"] for one in answer["downloads"]] == in_order
    for one in answer["downloads"]:
        parts = urlsplit(one["url"])
        assert one["s3_uri"] == f"s3://{BUCKET}{unquote(parts.path)}"
        assert parse_qs(parts.query)["X-Amz-Expires"] == ["3600"]
    # Step Functions forgets an execution after 90 days; so it is not even asked.
    assert [operation for _, operation, _ in api.aws.requests] == ["GetObject"]


def test_answers_have_the_published_shape(api, monkeypatch):
    for shape in (answers.BatchAnswer, answers.BatchStopped):
        monkeypatch.setattr(shape, "__pydantic_config__", {"extra": "forbid"}, raising=False)
    reported(api)
    TypeAdapter(answers.BatchAnswer).validate_python(api.look(ID)[1], strict=True)
    TypeAdapter(answers.BatchStopped).validate_python(api.stop(ID)[1], strict=True)


def test_of_many_results_a_hundred_have_an_address(api):
    output = [f"{OUTPUT}/{n:05}.jsonl.out" for n in range(250)]
    reported(api, output=output, merged=None)
    answer = api.look(ID)[1]
    assert [one["s3_uri"] for one in answer["downloads"]] == output[:100]
    assert answer["report"]["output"] == output


@pytest.mark.parametrize(
    ("execution", "status"),
    [
        ("SUCCEEDED", "completed"),
        ("FAILED", "failed"),
        ("TIMED_OUT", "failed"),
        ("ABORTED", "stopped"),
    ],
)
def test_a_batch_whose_report_has_expired_or_is_on_its_way(api, execution, status):
    api.execution(ID)["status"] = execution
    assert api.look(ID)[1] == {"batch_id": ID, "status": status, "request_id": "request-1"}


def test_a_batch_that_ends_between_two_questions(api):
    api.execution(ID)["status"] = "SUCCEEDED"
    api.aws.before["DescribeExecution"] = lambda: reported(api, status="stopped")
    assert api.look(ID)[1]["report"]["status"] == "stopped"


def test_a_batch_that_has_not_begun(api):
    api.put("input/a", b"{}")
    _, upload = api.ask(upload=True)
    assert api.look(upload["batch_id"])[1]["status"] == "awaiting_upload"
    _, named = api.ask(s3_uri=f"s3://{BUCKET}/input/a")
    api.aws.executions.clear()
    assert api.look(named["batch_id"])[1]["status"] == "checking"


@pytest.mark.parametrize("verb", ["look", "stop"])
@pytest.mark.parametrize("batch_id", [ID, ID.upper(), "x", "..%2Frequests", ID + "0", "%20"])
def test_there_is_no_such_batch(api, verb, batch_id):
    status, answer = getattr(api, verb)(batch_id)
    assert (status, answer["code"], answer["field"]) == (404, "not_found", "batch_id")
    assert bool(api.aws.requests) == (batch_id == ID), "a malformed id names nothing in S3"


@pytest.mark.parametrize("name", [JOB, f"{JOB}-2"])
def test_stopping_stops_the_job_alone_so_that_its_results_are_gathered(api, name):
    running(api, (name, "InProgress"))
    assert api.stop(ID) == (
        202,
        {"batch_id": ID, "status": "stopping", "request_id": "request-1"},
    )
    assert api.aws.called("StopTransformJob") == [{"TransformJobName": name}]
    assert api.execution(ID)["status"] == "RUNNING"
    assert api.stop(ID)[1]["status"] == "stopping", "once more is once"


def test_stopping_before_there_is_a_job_stops_the_execution(api):
    running(api)
    assert api.stop(ID)[0] == 202
    assert api.execution(ID)["status"] == "ABORTED"


@pytest.mark.parametrize("job", ["Completed", "Stopped", "Failed"])
def test_past_the_job_nothing_is_left_to_stop(api, job):
    running(api, (JOB, job))
    assert api.stop(ID) == (
        200,
        {"batch_id": ID, "status": "gathering", "request_id": "request-1"},
    )
    assert not api.aws.called("StopExecution")


def test_a_job_that_ends_before_it_can_be_stopped(api):
    running(api, (JOB, "InProgress"))
    api.aws.before["StopTransformJob"] = lambda: api.aws.add_transform_job(JOB, "Completed")
    assert api.stop(ID)[1]["status"] == "gathering"


def test_a_batch_that_ends_before_its_job_can_be_stopped(api):
    running(api, (JOB, "InProgress"))

    def end():
        api.aws.add_transform_job(JOB, "Completed")
        reported(api)

    api.aws.before["StopTransformJob"] = end
    status, answer = api.stop(ID)
    assert (status, answer["status"]) == (200, "completed")


@pytest.mark.parametrize("status", ["completed", "failed", "stopped"])
def test_an_ended_batch_stays_as_it_is(api, status):
    reported(api, status=status)
    found, answer = api.stop(ID)
    assert (found, answer["status"]) == (200, status)
    assert [operation for _, operation, _ in api.aws.requests] == ["GetObject"]


def test_a_batch_that_has_not_begun_never_will(api):
    batch_id = api.ask(upload=True, client_token="monday")[1]["batch_id"]
    assert api.stop(batch_id)[0] == 200
    # The event of a late upload finds this, and begins nothing.
    assert json.loads(api.aws.text(f"requests/{batch_id}.json"))["stopped_at"]
    assert api.look(batch_id)[1]["status"] == "stopped"
    status, again = api.ask(upload=True, client_token="monday")
    assert (status, again["status"]) == (200, "stopped")
    assert "upload" not in again
    assert api.stop(batch_id)[1]["status"] == "stopped"


def test_a_stopped_batch_is_not_begun_by_its_token(api):
    api.put("input/a", b"{}")
    ask = {"s3_uri": f"s3://{BUCKET}/input/a", "client_token": "monday"}
    batch_id = api.ask(**ask)[1]["batch_id"]
    api.aws.executions.clear()  # as if the first request had died on its way
    api.stop(batch_id)
    assert api.ask(**ask)[1]["status"] == "stopped"
    assert not api.aws.executions


def test_a_batch_that_begins_while_it_is_stopped_is_stopped(api):
    batch_id = api.ask(upload=True)[1]["batch_id"]

    api.aws.before["PutObject"] = lambda: api.execution(batch_id)
    status, answer = api.stop(batch_id)
    assert (status, answer["status"]) == (202, "stopping")
    assert api.execution(batch_id)["status"] == "ABORTED"


def test_a_throttled_stop_is_a_throttled_request(api):
    running(api, (JOB, "InProgress"))
    api.aws.broken["StopTransformJob"] = AwsError("ThrottlingException")
    assert api.stop(ID)[1]["code"] == "throttled"
