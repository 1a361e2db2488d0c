"""Batches belong to those who began them, who may have a limited number under way."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from batch.api import handler
from contract.batch_objects import batch_id_of_object, upload_key
from tests.support.batch_scenarios import BUCKET, TEAM

URI = f"s3://{BUCKET}/input/texts.jsonl"
ROLE = "arn:aws:sts::123456789012:assumed-role/Indexer"
ISSUER = {"issuer": "https://issuer.example", "scopes": ""}


@pytest.fixture
def api(api):
    api.put("input/texts.jsonl", b'{"id": 1, "text_inputs": "a"}\n')
    return api


@pytest.fixture
def configure(monkeypatch):
    """Changes the function's environment variables."""

    def change(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        handler._connect.cache_clear()

    return change


def signed(arn):
    return {"identity": {"userArn": arn}}


def with_token(subject="ann", **others):
    return {"authorizer": {"principalId": subject, "subject": subject, **ISSUER, **others}}


def key(key_id):
    return {"identity": {"apiKey": "secret", "apiKeyId": key_id}}


CALLERS = [
    ("api_key", key("key1"), key("key3")),
    ("api_key", key("key1"), key("made-by-hand")),
    ("api_key", key("team"), key("key1")),  # an id that is the name of a caller
    ("iam", signed(f"{ROLE}/one"), signed(f"{ROLE}2/one")),
    ("iam", signed(f"{ROLE}/one"), signed("arn:aws:iam::123456789012:user/Indexer")),
    ("iam", signed(f"{ROLE}/one"), signed(f"{ROLE}/one".replace("123456789012", "210987654321"))),
    ("jwt", with_token("ann"), with_token("bob")),
    ("jwt", with_token("ann"), with_token("ann", issuer="https://another.example")),
]


@pytest.mark.parametrize(("auth", "owner", "stranger"), CALLERS)
@pytest.mark.parametrize("begun", [True, False])
def test_a_batch_exists_for_its_owner_alone(api, configure, auth, owner, stranger, begun):
    configure(API_AUTH=auth)
    api.context = owner
    body = {"s3_uri": URI} if begun else {"upload": True}
    batch_id = api.ask(**body)[1]["batch_id"]
    assert api.look(batch_id)[0] == 200
    requests = len(api.aws.requests)
    api.context = stranger
    unknown = "00000000-0000-4000-8000-000000000000"
    for verb in (api.look, api.stop):
        assert verb(batch_id) == verb(unknown), "nothing tells the two apart"
        assert verb(batch_id)[0] == 404
    changes = [o for _, o, _ in api.aws.requests[requests:] if o[:3] not in ("Get", "Des")]
    assert not changes
    api.context = owner
    assert api.stop(batch_id)[0] in (200, 202)


@pytest.mark.parametrize("auth", ["api_key", "iam", "jwt"])
def test_a_caller_stays_the_same(api, configure, auth):
    """With a rotated key, in another session, with another token."""
    configure(API_AUTH=auth)
    again = {
        "api_key": (key("key1"), key("key2")),
        "iam": (signed(f"{ROLE}/one"), signed(f"{ROLE}/another@example.com")),
        "jwt": (with_token(), with_token(scopes="more")),
    }
    for api.context, expected in zip(again[auth], (202, 200), strict=True):
        status, answer = api.ask(s3_uri=URI, client_token="monday")
        assert status == expected
        assert api.look(answer["batch_id"])[0] == 200
    assert len(api.aws.executions) == 1


def test_an_ended_batch_too_exists_for_its_owner_alone(api):
    batch_id = api.ask(s3_uri=URI)[1]["batch_id"]
    api.execution(batch_id)["status"] = "SUCCEEDED"
    assert api.look(batch_id)[1]["status"] == "completed"
    api.put(f"output/{batch_id}/report.json", {"status": "completed", "owner": TEAM})
    answer = api.look(batch_id)[1]
    assert answer["report"] == {"status": "completed"}, "callers need no hashes"
    api.use_key("key3")
    assert api.look(batch_id)[0] == api.stop(batch_id)[0] == 404


def test_client_tokens_count_for_each_caller(api):
    own = api.ask(s3_uri=URI, client_token="monday")[1]["batch_id"]
    api.use_key("key3")
    status, answer = api.ask(s3_uri=URI, client_token="monday", merge=True)
    assert status == 202, "no conflict with a batch of somebody else"
    assert answer["batch_id"] != own


def test_ids_do_not_follow_from_tokens(api):
    first = api.ask(s3_uri=URI, client_token="monday")[1]["batch_id"]
    api.aws.objects.clear()
    api.put("input/texts.jsonl", b"{}")
    assert api.ask(s3_uri=URI, client_token="monday")[1]["batch_id"] != first


def test_what_is_kept_of_a_caller_is_a_hash(api, configure):
    configure(API_AUTH="jwt")
    api.context = with_token("ann@example.com")
    api.ask(s3_uri=URI, client_token="monday")
    kept = [*api.aws.objects, *api.aws.objects.values(), *api.aws.executions.values()]
    assert "ann" not in str(kept) + api.log.getvalue()
    configure(API_AUTH="api_key")
    api.use_key("key1")
    api.ask(upload=True)
    assert "secret" not in str(api.aws.objects) + api.log.getvalue()


@pytest.mark.parametrize(
    ("auth", "context"),
    [
        ("api_key", {}),
        ("api_key", signed(f"{ROLE}/one")),
        ("iam", key("key1")),
        ("jwt", {"authorizer": {"principalId": "unnamed", **ISSUER}}),
        ("jwt", {}),
    ],
)
def test_callers_without_a_name_have_no_batches(api, configure, auth, context):
    configure(API_AUTH=auth)
    api.context = context
    for status, answer in (api.ask(upload=True), api.look("x"), api.stop("x")):
        assert (status, answer["code"]) == (403, "forbidden")
    assert not api.aws.requests


@pytest.mark.parametrize(
    ("auth", "context", "names"),
    [
        ("api_key", key("key4"), ["boss"]),
        (
            "iam",
            signed("arn:aws:sts::123456789012:assumed-role/Admin/me"),
            ["arn:aws:iam::123456789012:role/aws-reserved/Admin"],
        ),
        (
            "iam",
            signed("arn:aws:iam::123456789012:user/staff/me"),
            ["arn:aws:iam::123456789012:user/staff/me"],
        ),
        ("jwt", with_token("bob", scopes="faq/admin other"), ["faq/admin"]),
    ],
)
def test_administrators_see_and_stop_every_batch(api, configure, auth, context, names):
    batch_id = api.ask(s3_uri=URI)[1]["batch_id"]
    of_a_file = batch_id_of_object(BUCKET, "input/a", "1")
    api.execution(of_a_file)["input"] = "{}"
    assert api.look(of_a_file)[0] == 404, "it belongs to nobody"
    configure(API_AUTH=auth, ADMINISTRATORS=json.dumps(names), CALLERS='["somebody"]')
    api.context = context
    for each in (batch_id, of_a_file):
        assert api.look(each)[0] == 200
        assert api.stop(each)[0] == 202


def test_batches_of_earlier_versions_are_the_administrators(api):
    batch_id = api.ask(upload=True)[1]["batch_id"]
    record = json.loads(api.aws.text(f"requests/{batch_id}.json"))
    del record["owner"]
    api.put(f"requests/{batch_id}.json", record)
    assert api.look(batch_id)[0] == 404
    api.use_key("key4")
    assert api.look(batch_id)[0] == 200


def test_some_callers_may_only_look(api, configure):
    batch_id = api.ask(s3_uri=URI)[1]["batch_id"]
    configure(CALLERS='["other"]')
    for status, answer in (api.ask(s3_uri=URI), api.stop(batch_id)):
        assert (status, answer["code"]) == (403, "forbidden")
    assert api.look(batch_id)[1]["status"] == "checking"
    api.use_key("key3")
    assert api.ask(s3_uri=URI)[0] == 202


def test_the_upload_of_another_caller_cannot_be_named(api):
    batch_id = api.ask(upload=True)[1]["batch_id"]
    api.put(upload_key(batch_id), b"{}")
    uri = f"s3://{BUCKET}/{upload_key(batch_id)}"
    assert api.ask(s3_uri=uri)[0] == 202
    api.use_key("key3")
    missing = uri.replace(batch_id, "00000000-0000-4000-8000-000000000000")
    assert api.ask(s3_uri=uri) == api.ask(s3_uri=missing)
    assert api.ask(s3_uri=uri)[1]["code"] == "not_found"
    api.use_key("key4")
    assert api.ask(s3_uri=uri)[0] == 202


def slots(api):
    return api.aws.keys("requests/slots/")


def refused(api, says, **body):
    executions, records = len(api.aws.executions), len(api.aws.keys("requests/"))
    status, answer = api.ask(**(body or {"s3_uri": URI}))
    assert (status, answer["code"]) == (429, "too_many_batches")
    assert says in answer["message"]
    assert api.answer["multiValueHeaders"]["Retry-After"] == ["30"]
    assert (len(api.aws.executions), len(api.aws.keys("requests/"))) == (executions, records)


@pytest.mark.parametrize("body", [{"s3_uri": URI}, {"upload": True}])
def test_a_caller_may_have_so_many_batches_under_way(api, body):
    for _ in range(3):
        assert api.ask(**body)[0] == 202
    refused(api, "You have 3 batches under way, and this stage allows 3", **body)
    api.use_key("key2")
    refused(api, "You have 3 batches", **body)  # another key of the same caller
    api.use_key("key3")
    assert api.ask(**body)[0] == 202


def test_all_callers_together_may_have_so_many(api):
    for key_id in ("key1", "key1", "key3", "key3", "key4"):
        api.use_key(key_id)
        assert api.ask(s3_uri=URI, instance_count=1)[0] == 202
    api.use_key("key1")
    refused(api, "as many batches as it may", s3_uri=URI, instance_count=1)


def test_instances_are_limited_for_each_and_for_all(api):
    assert api.ask(s3_uri=URI, instance_count=4)[0] == 202
    assert api.ask(s3_uri=URI, instance_count=4)[0] == 202
    refused(api, "9 instances, and this stage allows 8", s3_uri=URI, instance_count=1)
    api.use_key("key3")
    assert api.ask(s3_uri=URI, instance_count=3)[0] == 202
    refused(api, "as many instances as they may", s3_uri=URI, instance_count=2)
    assert api.ask(s3_uri=URI, instance_count=1)[0] == 202


def test_the_slots_of_ended_batches_are_free(api):
    ids = [api.ask(s3_uri=URI)[1]["batch_id"] for _ in range(3)]
    api.execution(ids[1])["status"] = "SUCCEEDED"
    assert api.ask(s3_uri=URI)[0] == 202
    assert len(slots(api)) == 3
    refused(api, "You have 3")


def test_a_stopped_upload_frees_its_slot(api):
    ids = [api.ask(upload=True)[1]["batch_id"] for _ in range(3)]
    assert api.stop(ids[0])[0] == 200
    assert api.ask(upload=True)[0] == 202


def age(api, key, by):
    api.aws.written_at[BUCKET, key] -= by


def test_an_upload_that_never_came_loses_its_slot_after_hours(api):
    for _ in range(3):
        api.ask(upload=True)
    age(api, slots(api)[0], timedelta(hours=2))
    refused(api, "You have 3", upload=True)
    age(api, slots(api)[0], timedelta(hours=1))
    assert api.ask(upload=True)[0] == 202


def test_a_request_that_died_loses_its_slot_after_minutes(api):
    for _ in range(3):
        api.ask(s3_uri=URI)
    [lost, *_] = slots(api)
    batch_id = lost.split("/")[3]
    api.aws.executions.pop(next(arn for arn in api.aws.executions if arn.endswith(batch_id)))
    refused(api, "You have 3")
    age(api, lost, timedelta(minutes=2))
    assert api.ask(s3_uri=URI)[0] == 202


def test_of_requests_at_once_no_more_are_admitted_than_there_is_room_for(api):
    for _ in range(2):
        api.ask(s3_uri=URI)
    second = []
    # It takes a slot between the other's taking and its counting.
    api.aws.before["ListObjectsV2"] = lambda: second.append(api.ask(s3_uri=URI)[0])
    first = api.ask(s3_uri=URI)[0]
    assert [first, *second].count(202) <= 1
    assert len(api.aws.executions) <= 3
    assert len(slots(api)) == len(api.aws.executions)


def test_a_repeated_request_needs_no_second_slot(api):
    for n in range(3):
        api.ask(s3_uri=URI, client_token=f"{n}")
    assert api.ask(s3_uri=URI, client_token="0")[0] == 200
    assert len(slots(api)) == 3


def test_a_lost_race_with_another_body_keeps_no_slot(api):
    def other():
        api.aws.before["ListObjectsV2"] = api.aws.before["PutObject"] = lambda: None
        assert api.ask(s3_uri=URI, instance_count=1, client_token="monday")[0] == 202

    api.aws.before["ListObjectsV2"] = other
    status, _ = api.ask(s3_uri=URI, instance_count=2, client_token="monday")
    assert status == 409
    assert [key.rsplit("/", 1)[1] for key in slots(api)] == ["1"]
