"""The typed client, before an API on localhost."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from faq_search import (
    FailedOver,
    FaqSearch,
    FaqSearchError,
    Hit,
    InputError,
    NearestHit,
    ServedBy,
)
from tests.support.client import DEPLOYED, SERVED, running_api

ERROR = {"code": "invalid_request", "message": "top_k: no.", "request_id": "r", "field": "top_k"}
THROTTLED = {"code": "throttled", "message": "Slower.", "request_id": "r"}
EMBEDDED = {"embeddings": [[0.5, -1.0]], "served_by": SERVED, "request_id": "r"}


@pytest.fixture
def api():
    with running_api() as api:
        yield api


@pytest.fixture
def faq(api):
    with FaqSearch(api.url, api_key="key") as faq:
        yield faq


@pytest.fixture
def pauses(faq):
    pauses = []
    faq._transport._sleep = pauses.append
    return pauses


def test_embed(api, faq):
    api.answer(200, EMBEDDED, Server_Timing="model;dur=12.50, front_door;dur=1.25")
    found = faq.embed(["Ёлка"], instance_type="ml.c6i.xlarge")
    assert found.embeddings == [[0.5, -1.0]]
    assert found.served_by == ServedBy("ml.c6i.xlarge", ())
    assert found.timing == {"model": 12.5, "front_door": 1.25}
    asked = api.asked[0]
    assert (asked.method, asked.path) == ("POST", "/execute-api/abc/v1/embed")
    assert asked.body == {"texts": ["Ёлка"], "instance_type": "ml.c6i.xlarge"}
    assert asked.headers["x-api-key"] == "key"
    assert asked.headers["content-type"] == "application/json"
    assert "Ёлка".encode() in asked.raw


def test_nearest(api, faq):
    hits = [[{"corpus_id": 1, "score": 0.5}]]
    api.answer(200, {"results": hits, "served_by": SERVED, "request_id": "r"})
    assert faq.nearest(["a", "b"], ["c"], top_k=1).results == [[NearestHit(1, 0.5)]]
    assert api.asked[0].body == {"corpus": ["a", "b"], "queries": ["c"], "top_k": 1}


def test_search(api, faq):
    failed = [{"instance_type": "ml.g5.2xlarge", "reason": "throttled"}]
    api.answer(
        200,
        {
            "results": [
                [
                    {"id": "7", "question": None, "answer": "Yes.", "score": 0.9},
                    {
                        "id": "8",
                        "question": None,
                        "answer": None,
                        "score": 0.8,
                        "passage": "es",
                        "fields": {"url": "x"},
                    },
                ],
                [],
            ],
            "bake_id": "b",
            "served_by": SERVED | {"failed_over_from": failed},
            "request_id": "r",
        },
    )
    found = faq.search(["a", "b"], min_score=0.1, margin=0, category=["c"])
    assert found.results == [
        [Hit("7", None, "Yes.", 0.9), Hit("8", None, None, 0.8, "es", {"url": "x"})],
        [],
    ]
    assert (found.bake_id, found.request_id) == ("b", "r")
    assert found.served_by.failed_over_from == (FailedOver("ml.g5.2xlarge", "throttled"),)
    assert api.asked[0].body == {
        "queries": ["a", "b"],
        "top_k": 3,
        "min_score": 0.1,
        "margin": 0,
        "category": ["c"],
    }


def test_endpoints(api, faq):
    api.answer(200, DEPLOYED)
    deployed = faq.endpoints()
    assert deployed.endpoints[0].endpoint_name == "faq"
    assert (deployed.model_id, deployed.dimension, deployed.corpus_sha256) == ("minilm", 384, "c")
    assert deployed.serving == "on"
    assert (api.asked[0].method, api.asked[0].raw) == ("GET", b"")


LINES = [
    {"instance_type": "ml.c6i.xlarge", "status": "ok", "bake_id": "b"},
    {"instance_type": "ml.g5.2xlarge", "status": "time_out"},
]


def test_good_health(api, faq):
    api.answer(200, {"status": "ok", "bake_id": "b", "endpoints": LINES, "request_id": "r"})
    health = faq.health()
    assert health.ok and not health.switched_off
    assert [line.status for line in health.endpoints] == ["ok", "time_out"]


def test_bad_health_is_an_answer_and_not_an_error(api, faq, pauses):
    unwell = {"code": "model_unavailable", "message": "…", "request_id": "r"}
    api.answer(503, unwell | {"bake_id": "b", "endpoints": LINES[1:]})
    health = faq.health()
    assert not health.ok
    assert health.endpoints[0].status == "time_out"
    assert pauses == []


def test_endpoints_that_are_switched_off_are_not_asked_again(api, faq, pauses):
    off = {"code": "serving_off", "message": "…", "request_id": "r"}
    api.answer(503, off)
    with pytest.raises(FaqSearchError, match="serving_off"):
        faq.embed(["a"])
    api.answers = [(503, off | {"bake_id": "b", "endpoints": LINES[1:]}, {})]
    assert faq.health().switched_off
    assert (len(api.asked), pauses) == (2, [])


def test_errors_carry_what_the_api_said(api, faq, pauses):
    api.answer(400, ERROR)
    with pytest.raises(FaqSearchError, match=r"invalid_request: top_k: no\.") as failed:
        faq.search(["a"])
    error = failed.value
    assert (error.code, error.message, error.status) == ("invalid_request", "top_k: no.", 400)
    assert (error.request_id, error.field) == ("r", "top_k")
    assert (len(api.asked), pauses) == (1, [])


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again_with_growing_random_pauses(api, faq, pauses, status):
    for _ in range(2):
        api.answer(status, THROTTLED)
    api.answer(200, EMBEDDED)
    assert faq.embed(["a"]).embeddings
    assert len(api.asked) == 3
    assert 0 <= pauses[0] <= 0.5 and 0 <= pauses[1] <= 1
    assert pauses[0] != 0.5 and pauses[1] != 1, "callers must not come back together"


def test_tries_are_bounded(api, faq, pauses):
    api.answer(429, THROTTLED)
    with pytest.raises(FaqSearchError) as failed:
        faq.embed(["a"])
    assert failed.value.code == "throttled"
    assert (len(api.asked), len(pauses)) == (4, 3)


def test_retry_after_is_heeded(api, faq, pauses):
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    for asked in ("2", at, "soon"):
        api.answer(429, THROTTLED, Retry_After=asked)
    api.answer(200, EMBEDDED)
    faq.embed(["a"])
    assert 2 <= pauses[0] <= 2.5
    assert 18 <= pauses[1] <= 21
    assert 0 <= pauses[2] <= 2


def test_who_would_have_to_wait_longer_than_a_minute_learns_so_at_once(api, faq, pauses):
    api.answer(429, THROTTLED, Retry_After="3600")
    with pytest.raises(FaqSearchError, match="throttled"):
        faq.embed(["a"])
    assert pauses == []


def test_each_retry_is_reported(api, pauses):
    heard = []
    api.answer(504, THROTTLED)
    api.answer(200, EMBEDDED)
    with FaqSearch(
        api.url,
        api_key="key",
        on_retry=lambda error, pause: heard.append((error.status, pause)),
        transport=api.transport(),
    ) as faq:
        faq._transport._sleep = pauses.append
        faq.embed(["a"])
    assert heard == [(504, pauses[0])]


@pytest.mark.parametrize("status", [500, 501])
def test_other_failures_are_not_tried_again(api, faq, pauses, status):
    api.answer(status, {"code": "internal_error", "message": "…", "request_id": "r"})
    with pytest.raises(FaqSearchError):
        faq.embed(["a"])
    assert (len(api.asked), pauses) == (1, [])


@pytest.mark.parametrize("body", [b"<html>", {"message": "Forbidden"}, ["a"]])
def test_an_answer_that_is_not_the_apis(api, faq, body):
    api.answer(403, body)
    with pytest.raises(FaqSearchError, match="HTTP 403") as failed:
        faq.endpoints()
    assert failed.value.code == "unreadable"


def test_the_connection_is_kept_open_and_opened_again_when_it_was_closed(api, faq):
    api.answer(200, EMBEDDED)
    faq.embed(["a"])
    faq.embed(["b"])
    assert api.connections == 1
    api.hang_up_after = 3
    faq.embed(["c"])
    time.sleep(0.05)
    faq.embed(["d"])
    assert api.connections == 2
    assert [asked.body["texts"] for asked in api.asked] == [["a"], ["b"], ["c"], ["d"]]


def test_nobody_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        FaqSearch(f"http://127.0.0.1:{port}", api_key="k") as faq,
        pytest.raises(FaqSearchError, match="cannot be reached") as failed,
    ):
        faq.health()
    assert (failed.value.code, failed.value.status) == ("unreachable", None)


def test_an_api_that_never_answers():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with FaqSearch(url, api_key="k", timeout=0.1) as faq, pytest.raises(FaqSearchError) as no:
            faq.health()
        assert no.value.code == "no_answer"
        assert "within 0.1 seconds" in no.value.message


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")


def test_requests_are_signed_with_aws_credentials(api, aws):
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    api.answer(200, EMBEDDED)
    with FaqSearch(api.url, iam=True, region="eu-west-1") as faq:
        faq.embed(["Ёлка"])
    asked = api.asked[0]
    scope = f"AKIDEXAMPLE/{asked.headers['x-amz-date'][:8]}/eu-west-1/execute-api/aws4_request"
    assert f"Credential={scope}" in asked.headers["authorization"]
    assert asked.headers["x-amz-security-token"] == "session"
    assert "x-api-key" not in asked.headers

    # Signing what the server saw again must give the same signature: host, path and body.
    seen = AWSRequest(
        "POST",
        f"http://{asked.headers['host']}{asked.path}",
        data=asked.raw,
        headers={"X-Amz-Date": asked.headers["x-amz-date"]},
    )
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret", "session"), "execute-api", "eu-west-1")
    seen.context["timestamp"] = asked.headers["x-amz-date"]
    seen.headers["X-Amz-Security-Token"] = "session"
    signature = signer.signature(signer.string_to_sign(seen, signer.canonical_request(seen)), seen)
    assert asked.headers["authorization"].endswith(f"Signature={signature}")


def test_the_region_is_that_of_the_url(aws):
    from faq_search.signing import iam_signer

    url = "https://abc.execute-api.us-east-2.amazonaws.com/v1"
    assert "/us-east-2/execute-api/" in iam_signer(url)("GET", url, None)["Authorization"]
    with pytest.raises(ValueError, match="region"):
        iam_signer("https://faq.example.com")


def test_a_bearer_token(api):
    api.answer(200, EMBEDDED)
    with FaqSearch(api.url, token="ey.j.w", transport=api.transport()) as faq:
        faq.embed(["a"])
    assert api.asked[0].headers["authorization"] == "Bearer ey.j.w"
    assert "x-api-key" not in api.asked[0].headers


@pytest.mark.parametrize(
    "options", [{}, {"api_key": "k", "iam": True}, {"api_key": "k", "token": "t"}]
)
def test_one_way_to_say_who_asks(options):
    with pytest.raises(InputError, match="one of api_key, token and iam"):
        FaqSearch("https://faq.example.com", **options)


@pytest.mark.parametrize(
    "url", ["faq.example.com", "ftp://faq", "https://", "http://[::1", "http://h:x"]
)
def test_urls_that_cannot_be(url):
    with pytest.raises(InputError, match="URL"):
        FaqSearch(url, api_key="k")


@pytest.mark.parametrize("secret", ["", "two words", "ключ", "line\n"])
def test_secrets_that_cannot_be(secret):
    for name in ("api_key", "token"):
        with pytest.raises(InputError, match="ASCII"):
            FaqSearch("https://faq.example.com", **{name: secret})
