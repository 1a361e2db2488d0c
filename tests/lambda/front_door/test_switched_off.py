"""What callers get while the endpoints are switched off."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from front_door.answers import UnhealthyAnswer
from tests.support.front_door import Context, Reply, event

GONE = Reply.error(400, "ValidationError", Message="Endpoint faq-x of account 1 not found.")
ASK = event("/search", {"queries": ["a"]})


@pytest.fixture
def off(door):
    door.aws.reply("faq-c6i", GONE)
    door.aws.reply("faq-g5", GONE)
    door.aws.ssm.serving = "off"
    return door


def test_the_error_has_a_separate_code_and_says_how_to_switch_on(off):
    status, answer = off.call(ASK)
    assert (status, answer["code"]) == (503, "serving_off")
    assert "make on STAGE=local" in answer["message"]
    headers = off.handler.handler(ASK, Context())["multiValueHeaders"]
    assert "Retry-After" not in headers, "another try a second later would fail as well"


def test_health_has_the_code_with_a_line_for_each_endpoint(off):
    status, answer = off.call(event("/health", method="GET"))
    assert (status, answer["code"]) == (503, "serving_off")
    assert [line["status"] for line in answer["endpoints"]] == ["not_found", "not_found"]
    TypeAdapter(UnhealthyAnswer).validate_python(answer, strict=True)


def test_endpoints_shows_it(off):
    status, answer = off.call(event("/endpoints", method="GET"))
    assert (status, answer["serving"]) == (200, "off")


def test_an_endpoint_that_still_answers_is_used(off):
    off.aws.reply("faq-g5", Reply(b'{"bake_id": "bake-1", "results": [[]]}'))
    assert off.call(ASK)[0] == 200
    assert off.aws.ssm.switch_reads == 0


def test_the_switch_is_read_only_when_an_endpoint_is_missing(off):
    unavailable = Reply.error(503, "ServiceUnavailable", Message="…")
    for endpoint in ("faq-c6i", "faq-g5"):
        off.aws.reply(endpoint, unavailable)
    assert off.call(ASK)[1]["code"] == "model_unavailable"
    assert off.call(event("/health", method="GET"))[1]["code"] == "model_unavailable"
    assert off.aws.ssm.switch_reads == 0


def test_endpoints_that_are_missing_while_switched_on_are_unavailable(off):
    off.aws.ssm.serving = "on"
    assert off.call(ASK)[1]["code"] == "model_unavailable"
    assert off.call(event("/health", method="GET"))[1]["code"] == "model_unavailable"


def test_many_requests_read_the_switch_once(off):
    for _ in range(5):
        assert off.call(ASK)[1]["code"] == "serving_off"
    assert off.aws.ssm.switch_reads == 1
