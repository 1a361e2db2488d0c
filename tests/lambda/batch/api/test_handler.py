"""The batch routes: asking for a batch, once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ConnectTimeoutError
from pydantic import TypeAdapter

from batch.api import answers
from batch.api.requests import BatchRequest
from tests.support.batch_scenarios import BUCKET, TEAM
from tests.support.recorded_aws import REGION, AwsError

URI = f"s3://{BUCKET}/input/texts.jsonl"
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def api(api):
    api.put("input/texts.jsonl", b'{"id": 1, "text_inputs": "a"}\n')
    return api


def test_a_file_in_s3_is_begun_with_what_was_asked(api):
    status, answer = api.ask(s3_uri=URI, instance_count=3, merge=True)
    assert status == 202
    batch_id = answer["batch_id"]
    assert ID.fullmatch(batch_id)
    assert answer == {"batch_id": batch_id, "status": "checking", "request_id": "request-1"}
    [record] = [
        request
        for request in api.aws.called("PutObject")
        if request["Key"] == f"requests/{batch_id}.json"
    ]
    assert record["ContentType"] == "application/json"
    started = api.execution_input(batch_id)
    requested_at = datetime.fromisoformat(started.pop("requested_at"))
    assert abs(datetime.now(UTC) - requested_at) < timedelta(minutes=1)
    assert started == {
        "batch_id": batch_id,
        "input": {
            "bucket": BUCKET,
            "key": "input/texts.jsonl",
            "version_id": "version-1",
            "size": 30,
        },
        "instance_count": 3,
        "merge": True,
        "owner": TEAM,
    }


def test_the_documented_examples_work_in_every_stage(api):
    examples = BatchRequest.model_json_schema()["examples"]
    assert examples
    for example in examples:
        status, answer = api.ask(**example)
        assert status == 202, answer


def test_the_stage_has_the_defaults(api):
    _, answer = api.ask(s3_uri=URI)
    started = api.execution_input(answer["batch_id"])
    assert (started["instance_count"], started["merge"]) == (2, False)


def test_a_file_in_a_place_of_the_settings_may_have_no_versions(api):
    api.put("texts/a b/ё.jsonl", b"{}", bucket="theirs")
    status, answer = api.ask(s3_uri="s3://theirs/texts/a b/ё.jsonl")
    assert status == 202
    source = api.execution_input(answer["batch_id"])["input"]
    assert (source["key"], source["version_id"]) == ("texts/a b/ё.jsonl", None)


def test_an_upload_is_awaited_at_a_signed_address(api):
    status, answer = api.ask(upload=True, instance_count=4)
    assert (status, answer["status"]) == (202, "awaiting_upload")
    upload = answer["upload"]
    assert (upload["method"], upload["headers"]) == ("PUT", {})
    parts = urlsplit(upload["url"])
    assert parts.path == f"/input/uploads/{answer['batch_id']}.jsonl"
    # Not the global host, which redirects: no browser follows that to upload a file.
    assert parts.netloc == f"{BUCKET}.s3.{REGION}.amazonaws.com"
    query = parse_qs(parts.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"], "KMS refuses older signatures"
    assert (query["X-Amz-Expires"], query["X-Amz-SignedHeaders"]) == (["3600"], ["host"])
    ends = datetime.fromisoformat(upload["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < ends <= timedelta(hours=1)
    # The upload's event starts the batch with these.
    kept = json.loads(api.aws.text(f"requests/{answer['batch_id']}.json"))
    assert (kept["instance_count"], kept["merge"], kept["stopped_at"]) == (4, False, None)
    assert not api.aws.executions


def test_two_requests_without_a_token_are_two_batches(api):
    assert api.ask(s3_uri=URI)[1]["batch_id"] != api.ask(s3_uri=URI)[1]["batch_id"]
    assert len(api.aws.executions) == 2


def test_the_same_token_is_the_same_batch(api):
    first = api.ask(s3_uri=URI, client_token="monday")
    again = api.ask(s3_uri=URI, client_token="monday")
    assert (first[0], again[0]) == (202, 200)
    assert first[1] == again[1]
    assert len(api.aws.executions) == 1


def test_a_repeated_request_gets_the_status_of_the_batch(api):
    _, first = api.ask(s3_uri=URI, client_token="monday")
    del api.aws.objects[BUCKET, "input/texts.jsonl"]
    api.put(f"output/{first['batch_id']}/report.json", {"status": "completed"})
    assert api.ask(s3_uri=URI, client_token="monday")[1]["status"] == "completed"


def test_an_upload_that_is_asked_for_again_gets_another_address(api):
    _, first = api.ask(upload=True, client_token="monday")
    status, again = api.ask(upload=True, client_token="monday")
    assert (status, again["status"]) == (200, "awaiting_upload")
    assert f"{first['batch_id']}.jsonl?" in again["upload"]["url"]
    api.execution(first["batch_id"])
    assert "upload" not in api.ask(upload=True, client_token="monday")[1]


@pytest.mark.parametrize("other", [{"merge": True}, {"instance_count": 1}, {"upload": True}])
def test_the_same_token_with_another_body_is_refused(api, other):
    api.ask(s3_uri=URI, client_token="monday")
    body = other if "upload" in other else {"s3_uri": URI, **other}
    status, answer = api.ask(client_token="monday", **body)
    assert (status, answer["code"]) == (409, "client_token_conflict")
    assert answer["field"] == "client_token"
    assert len(api.aws.executions) == 1


def test_of_two_requests_at_once_one_makes_the_record(api):
    def other():
        other.answer = api.ask(s3_uri=URI, client_token="monday")

    api.aws.before["PutObject"] = other
    status, answer = api.ask(s3_uri=URI, client_token="monday")
    assert status == 200
    assert answer["batch_id"] == other.answer[1]["batch_id"]
    assert len(api.aws.executions) == 1


def test_a_batch_whose_first_request_died_is_begun_by_the_second(api):
    api.aws.broken["StartExecution"] = ConnectTimeoutError(endpoint_url="https://states")
    status, answer = api.ask(s3_uri=URI, client_token="monday")
    assert (status, answer["code"]) == (503, "service_unavailable")
    assert api.answer["multiValueHeaders"]["Retry-After"] == ["1"]
    del api.aws.broken["StartExecution"]
    [record] = (key for key in api.aws.keys("requests/") if key.count("/") == 1)
    first = json.loads(api.aws.text(record))
    status, answer = api.ask(s3_uri=URI, client_token="monday")
    assert (status, answer["status"]) == (200, "checking")
    started = api.execution_input(answer["batch_id"])
    assert started["requested_at"] == first["requested_at"], "the same input, for the same name"


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, None, "either s3_uri or upload"),
        ({"upload": False}, None, "either s3_uri or upload"),
        ({"s3_uri": URI, "upload": True}, None, "either s3_uri or upload"),
        ({"s3_uri": 1}, "s3_uri", "string"),
        ({"s3_uri": "input/texts.jsonl"}, "s3_uri", "pattern"),
        ({"s3_uri": f"s3://{BUCKET}"}, "s3_uri", "pattern"),
        ({"s3_uri": f"s3://{BUCKET}/input/"}, "s3_uri", "pattern"),
        ({"s3_uri": URI + "x" * 1100}, "s3_uri", "at most 1100"),
        ({"s3_uri": f"s3://{BUCKET}/output/x.jsonl"}, "s3_uri", f"s3://{BUCKET}/input/ or"),
        ({"s3_uri": "s3://theirs/other/x.jsonl"}, "s3_uri", "s3://theirs/texts/"),
        ({"s3_uri": f"s3://{BUCKET}x/input/x.jsonl"}, "s3_uri", "must begin with"),
        ({"upload": True, "client_token": ""}, "client_token", "pattern"),
        ({"upload": True, "client_token": "a b"}, "client_token", "pattern"),
        ({"upload": True, "client_token": "x" * 65}, "client_token", "pattern"),
        ({"upload": True, "client_token": "a\n"}, "client_token", "pattern"),
        ({"upload": True, "instance_count": 0}, "instance_count", "greater than or equal to 1"),
        ({"upload": True, "instance_count": 5}, "instance_count", "at most 4"),
        ({"upload": True, "instance_count": 1.5}, "instance_count", "integer"),
        ({"upload": "yes"}, "upload", "boolean"),
        ({"upload": True, "merge": 1}, "merge", "boolean"),
        ({"upload": True, "bucket": "x"}, "bucket", "not a field"),
    ],
)
def test_a_wrong_request_is_refused_with_the_reason(api, body, field, says):
    status, answer = api.ask(**body)
    assert (status, answer["code"], answer.get("field")) == (400, "invalid_request", field)
    assert says in answer["message"]
    assert not api.aws.requests, "nothing was started"


@pytest.mark.parametrize("status", [403, 404])
def test_an_object_that_is_not_there_or_not_ours_to_read(api, status):
    api.aws.broken["HeadObject"] = AwsError(str(status), "", status)
    found, answer = api.ask(s3_uri=URI, client_token="monday")
    assert (found, answer["code"], answer["field"]) == (404, "not_found", "s3_uri")
    del api.aws.broken["HeadObject"]
    assert api.ask(s3_uri=URI, client_token="monday")[0] == 202, "the token is not used up"


def test_an_empty_object_is_refused(api):
    api.put("input/texts.jsonl", b"")
    status, answer = api.ask(s3_uri=URI)
    assert (status, answer["code"], answer["field"]) == (400, "invalid_request", "s3_uri")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AwsError("SlowDown", "", 503), 429, "throttled"),
        (AwsError("ExecutionLimitExceeded", "", 400), 429, "throttled"),
        (AwsError("InternalError", "", 500), 503, "service_unavailable"),
        (AwsError("ConditionalRequestConflict", "", 409), 503, "service_unavailable"),
        (ConnectTimeoutError(endpoint_url="https://s3"), 503, "service_unavailable"),
        (AwsError("AccessDenied", "role/secret may not", 403), 500, "internal_error"),
        (AwsError("StateMachineDoesNotExist", "arn:secret", 400), 500, "internal_error"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
def test_failures_of_aws_are_json_and_keep_their_details(api, error, status, code):
    api.aws.broken["PutObject"] = error
    found, answer = api.ask(upload=True)
    assert (found, answer["code"], answer["request_id"]) == (status, code, "request-1")
    assert "secret" not in json.dumps(answer)
    assert ("Retry-After" in api.answer["multiValueHeaders"]) == (code != "internal_error")


def test_logs_have_the_request_id_and_no_signed_address(api):
    api.ask(upload=True)
    lines = [json.loads(line) for line in api.log.getvalue().splitlines()]
    assert {line["request_id"] for line in lines} == {"request-1"}
    assert any("batch_id" in line for line in lines)
    assert "X-Amz-Signature" not in api.log.getvalue()


@pytest.mark.parametrize(
    ("path", "method", "status", "allow"),
    [
        ("/batch", "GET", 405, ["POST"]),
        ("/batch/x", "POST", 405, ["GET, DELETE"]),
        ("/nothing", "GET", 404, None),
    ],
)
def test_no_such_route(api, path, method, status, allow):
    found, answer = api.call(path, method)
    assert (found, answer["request_id"]) == (status, "request-1")
    assert api.answer["multiValueHeaders"].get("Allow") == allow


def test_answers_have_the_published_shape(api, monkeypatch):
    shape = answers.BatchStarted
    monkeypatch.setattr(shape, "__pydantic_config__", {"extra": "forbid"}, raising=False)
    for body in ({"upload": True}, {"s3_uri": URI}):
        TypeAdapter(shape).validate_python(api.ask(**body)[1], strict=True)
