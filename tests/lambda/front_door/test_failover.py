"""Which failures make the next endpoint answer, and the errors when none does."""

from __future__ import annotations

import json
import time

import pytest

from front_door.time_budget import TimeBudget
from tests.support.front_door import ENDPOINTS, Context, Reply, event

ASK = event("/search", {"queries": ["a"]})
HIT = b'{"id": "1", "question": null, "answer": "yes", "score": 0.9}'
GOOD = Reply(b'{"bake_id": "bake-1", "results": [[' + HIT + b"]]}")
ACCOUNT = "123456789012"


def model_error(message: object, original_status: int = 400) -> Reply:
    """A ModelError as SageMaker words it, around what the model server said."""
    original = message if isinstance(message, str) else json.dumps(message)
    return Reply.error(
        424,
        "ModelError",
        ErrorCode="CLIENT_ERROR_FROM_MODEL",
        LogStreamArn=f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/faq-c6i",
        OriginalMessage=original,
        OriginalStatusCode=original_status,
        Message=f'Received client error (400) from primary with message "{original}". See '
        f"https://eu-west-1.console.aws.amazon.com/…account {ACCOUNT} for more information.",
    )


def mms(message: str) -> dict[str, object]:
    """The model server's own wording of an exception."""
    return {"code": 400, "type": "InternalServerException", "message": message}


THROTTLED = Reply.error(400, "ThrottlingException", Message="Rate exceeded")
FAILURES = {
    "throttled by name": (THROTTLED, "throttled"),
    "throttled by status": (Reply.error(429, "Whatever", Message="slow down"), "throttled"),
    "model not ready": (Reply.error(429, "ModelNotReadyException", Message="…"), "unavailable"),
    "service unavailable": (Reply.error(503, "ServiceUnavailable", Message="…"), "unavailable"),
    "internal failure": (Reply.error(500, "InternalFailure", Message="…"), "unavailable"),
    "dependency": (Reply.error(530, "InternalDependencyException", Message="…"), "unavailable"),
    "not JSON at all": (Reply(b"<html>502</html>", 502), "unavailable"),
    "hangs up": (Reply(hang_up=True), "unavailable"),
    "not allowed": (
        Reply.error(403, "AccessDeniedException", Message=f"arn:aws:iam::{ACCOUNT}:role/x may not"),
        "unavailable",
    ),
    "endpoint not found": (
        Reply.error(
            400, "ValidationError", Message=f"Endpoint faq-c6i of account {ACCOUNT} not found."
        ),
        "not_found",
    ),
    "other validation": (Reply.error(400, "ValidationError", Message="no"), "unavailable"),
    "model's error": (model_error(mms("internal_error: the index is broken")), "model_error"),
    "server's error": (model_error("Worker died", 500), "model_error"),
    "workers busy": (model_error("", 503), "unavailable"),
    "an error nested deeply": (Reply(b"[" * 100_000, 424, "ModelError"), "model_error"),
    "an error that is not UTF-8": (Reply(b"\xff", 500, "InternalFailure"), "model_error"),
    "a message nested deeply": (model_error("[" * 100_000), "model_error"),
    "not an answer": (Reply(b'{"embedding": [[1.0]]}'), "model_error"),
}
CODES = {
    "throttled": (429, "throttled"),
    "unavailable": (503, "model_unavailable"),
    "not_found": (503, "model_unavailable"),
    "model_error": (502, "model_error"),
}


def asked(door):
    return [endpoint for endpoint, _ in door.aws.asked]


@pytest.mark.parametrize(("failure", "reason"), FAILURES.values(), ids=FAILURES)
def test_the_next_endpoint_answers_and_the_answer_says_so(door, failure, reason):
    door.aws.reply("faq-c6i", failure)
    door.aws.reply("faq-g5", GOOD)
    status, answer = door.call(ASK)
    assert status == 200
    assert answer["served_by"] == {
        "instance_type": "ml.g5.2xlarge",
        "failed_over_from": [{"instance_type": "ml.c6i.xlarge", "reason": reason}],
    }
    assert door.aws.asked[0][1] == door.aws.asked[-1][1], "the same question"


@pytest.mark.parametrize(("failure", "reason"), FAILURES.values(), ids=FAILURES)
def test_all_failed(door, failure, reason):
    for endpoint in ENDPOINTS:
        door.aws.reply(endpoint["endpoint_name"], failure)
    status, answer = door.call(ASK)
    assert (status, answer["code"]) == CODES[reason]
    assert f"ml.c6i.xlarge: {reason}; ml.g5.2xlarge: {reason}" in answer["message"]
    assert ACCOUNT not in json.dumps(answer)
    assert "arn:" not in json.dumps(answer)


def test_some_throttled_some_unavailable_is_not_throttled(door):
    door.aws.reply("faq-c6i", THROTTLED)
    door.aws.reply("faq-g5", FAILURES["service unavailable"][0])
    assert door.call(ASK)[1]["code"] == "model_unavailable"


@pytest.mark.parametrize(("status", "header"), [(429, ["1"]), (502, None)])
def test_only_what_may_pass_is_worth_another_try(door, status, header):
    failure = THROTTLED if status == 429 else FAILURES["model's error"][0]
    for endpoint in ENDPOINTS:
        door.aws.reply(endpoint["endpoint_name"], failure)
    answer = door.handler.handler(ASK, Context())
    assert answer["statusCode"] == status
    assert answer["multiValueHeaders"].get("Retry-After") == header


SENTENCE = 'text 3 has "no" words — только 🦜'


@pytest.mark.parametrize(
    "original",
    [
        mms(f"invalid_request: {SENTENCE}"),
        mms(f"Prediction failed (invalid): invalid_request: {SENTENCE}"),
        f"invalid_request: {SENTENCE}".replace('"', '\\"'),
        json.dumps(mms(f"invalid_request: {SENTENCE}"), ensure_ascii=False, indent=2),
    ],
    ids=["as the server words it", "decorated", "bare", "indented"],
)
def test_a_mistake_of_the_caller_never_fails_over(door, original):
    door.aws.reply("faq-c6i", model_error(original))
    door.aws.reply("faq-g5", GOOD)
    status, answer = door.call(ASK)
    assert (status, answer["code"], answer["message"]) == (400, "invalid_request", SENTENCE)
    assert asked(door) == ["faq-c6i"]


def test_a_mistake_of_the_caller_is_found_in_sagemakers_own_message(door):
    message = (
        'Received client error (400) from primary with message "{"code": 400, "message": '
        f'"invalid_request: top_k is {ACCOUNT[:1]}"}}". See https://console/{ACCOUNT}'
    )
    door.aws.reply("faq-c6i", Reply.error(424, "ModelError", Message=message))
    assert door.call(ASK)[1]["message"] == "top_k is 1"


def test_the_chosen_instance_type_is_asked_first(door):
    door.aws.reply("faq-g5", GOOD)
    body = {"queries": ["a"], "instance_type": "ml.g5.2xlarge"}
    status, answer = door.call(event("/search", body))
    assert (status, answer["served_by"]["instance_type"]) == (200, "ml.g5.2xlarge")
    assert asked(door) == ["faq-g5"]


def test_the_chosen_instance_type_fails_over_like_any_other(door):
    door.aws.reply("faq-g5", THROTTLED)
    door.aws.reply("faq-c6i", GOOD)
    body = {"queries": ["a"], "instance_type": "ml.g5.2xlarge"}
    _, answer = door.call(event("/search", body))
    assert answer["served_by"]["instance_type"] == "ml.c6i.xlarge"
    assert asked(door) == ["faq-g5", "faq-c6i"]


@pytest.mark.parametrize("name", ["ml.p5.48xlarge", "", "faq-c6i"])
def test_an_instance_type_that_is_not_deployed(door, name):
    status, answer = door.call(event("/search", {"queries": ["a"], "instance_type": name}))
    assert (status, answer["code"], answer["field"]) == (400, "invalid_request", "instance_type")
    assert "ml.c6i.xlarge, ml.g5.2xlarge" in answer["message"]
    assert asked(door) == []


def test_a_hanging_endpoint_leaves_time_for_the_next(door):
    door.aws.reply("faq-c6i", Reply(silent_seconds=5))
    door.aws.reply("faq-g5", GOOD)
    began = time.monotonic()
    status, answer = door.call(ASK, Context(remaining_ms=3300))
    assert status == 200
    assert answer["served_by"]["failed_over_from"] == [
        {"instance_type": "ml.c6i.xlarge", "reason": "time_out"}
    ]
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("drip", ["headers", "body"])
def test_a_dripping_endpoint_leaves_time_for_the_next(door, drip):
    door.aws.reply("faq-c6i", Reply(GOOD.body, drip=drip))
    door.aws.reply("faq-g5", GOOD)
    began = time.monotonic()
    _, answer = door.call(ASK, Context(remaining_ms=2600))
    assert answer["served_by"]["failed_over_from"][0]["reason"] == "time_out"
    assert time.monotonic() - began < 2


def test_time_runs_out_before_lambda_does(door):
    for endpoint in ENDPOINTS:
        door.aws.reply(endpoint["endpoint_name"], Reply(silent_seconds=5))
    began = time.monotonic()
    status, answer = door.call(ASK, Context(remaining_ms=2300))
    assert time.monotonic() - began < 2.3
    assert (status, answer["code"]) == (504, "time_out")
    assert "ml.c6i.xlarge: time_out; ml.g5.2xlarge: not asked" in answer["message"]


def test_without_time_nothing_is_asked(door):
    status, answer = door.call(ASK, Context(remaining_ms=900))
    assert (status, answer["code"]) == (504, "time_out")
    assert asked(door) == []


def test_a_stale_connection_is_opened_again(door):
    door.aws.reply("faq-c6i", Reply(hang_up=True), GOOD)
    status, answer = door.call(ASK)
    assert (status, answer["served_by"]["failed_over_from"]) == (200, [])


def test_connections_are_kept_open(door):
    door.aws.reply("faq-c6i", GOOD)
    door.call(ASK)
    before = door.aws.connections
    for _ in range(5):
        door.call(ASK)
    assert door.aws.connections == before


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def budget():
    clock = Clock()
    budget = TimeBudget(26, clock)
    budget.clock = clock
    return budget


def test_an_attempt_gets_half_while_others_remain_then_all(budget):
    assert budget.attempt_seconds(others_left=2) == 13
    budget.clock.now += 13
    assert budget.attempt_seconds(others_left=1) == 6.5
    budget.clock.now += 6
    assert budget.attempt_seconds(others_left=0) == 7
    budget.clock.now += 5.5
    assert budget.attempt_seconds(others_left=1) == 1, "never less than a second"
    budget.clock.now += 0.6
    assert budget.attempt_seconds(others_left=0) is None


def test_attempts_that_hang_never_exceed_the_budget(budget):
    for endpoints in range(1, 9):
        budget.clock.now = 100.0
        for others_left in reversed(range(endpoints)):
            seconds = budget.attempt_seconds(others_left)
            if seconds is None:
                break
            budget.clock.now += seconds
        assert budget.remaining() >= 0


def test_the_time_spent_waiting_is_counted(budget):
    budget.clock.now += 1
    with pytest.raises(ZeroDivisionError), budget.waiting():
        budget.clock.now += 2
        raise ZeroDivisionError
    with budget.waiting():
        budget.clock.now += 3
    assert (budget.waited, budget.elapsed(), budget.remaining()) == (5, 6, 20)
