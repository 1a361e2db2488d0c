"""Which failures make the next endpoint answer, and the errors when none does."""

from __future__ import annotations

import json
import time

import pytest

from container.serving.requests import media_type, seconds_left
from front_door.endpoints import HUNG_SECONDS, count_tokens
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
    "an answer nested deeply": (Reply(b"[" * 100_000), "model_error"),
    "not UTF-8": (Reply(b'{"bake_id": "\xff", "results": []}'), "model_error"),
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


@pytest.mark.parametrize("content", [b'{"embedding": [[0.1\xff]]}', b"[" * 100_000])
def test_embeddings_that_cannot_be_read_are_the_models_error(door, content):
    """They are passed on without being parsed."""
    for endpoint in ENDPOINTS:
        door.aws.reply(endpoint["endpoint_name"], Reply(content))
    status, answer = door.call(event("/embed", {"texts": ["a"]}))
    assert (status, answer["code"]) == (502, "model_error")


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


def hung(door, *endpoints):
    """The named endpoints hang; a request that they cost their share returns in a second."""
    for endpoint in endpoints:
        door.aws.reply(endpoint, Reply(silent_seconds=5))
    return Context(remaining_ms=2_600)


def test_a_hung_endpoint_costs_one_request_its_wait_not_each(door):
    short = hung(door, "faq-c6i")
    door.aws.reply("faq-g5", GOOD)
    assert door.call(ASK, short)[1]["served_by"]["failed_over_from"]
    began = time.monotonic()
    for _ in range(3):
        served_by = door.call(ASK)[1]["served_by"]
        assert served_by == {"instance_type": "ml.g5.2xlarge", "failed_over_from": []}
    chosen = event("/search", {"queries": ["a"], "instance_type": "ml.c6i.xlarge"})
    assert door.call(chosen)[1]["served_by"]["instance_type"] == "ml.g5.2xlarge"
    assert time.monotonic() - began < 4, "each attempt at the first would take five seconds"
    assert asked(door) == ["faq-c6i", "faq-g5", *["faq-g5"] * 4]


def test_a_hung_endpoint_is_still_asked_where_the_others_fail(door):
    short = hung(door, "faq-c6i")
    door.aws.reply("faq-g5", GOOD)
    door.call(ASK, short)
    door.aws.reply("faq-g5", THROTTLED)
    door.aws.reply("faq-c6i", GOOD)
    assert door.call(ASK)[1]["served_by"] == {
        "instance_type": "ml.c6i.xlarge",
        "failed_over_from": [{"instance_type": "ml.g5.2xlarge", "reason": "throttled"}],
    }
    door.aws.reply("faq-g5", GOOD)
    assert door.call(ASK)[1]["served_by"]["instance_type"] == "ml.c6i.xlarge", "it has answered"


def test_where_all_hang_they_are_asked_in_the_usual_order(door):
    short = hung(door, "faq-c6i", "faq-g5")
    for _ in range(2):
        assert door.call(ASK, short)[0] == 504
    assert asked(door)[:2] == ["faq-c6i", "faq-g5"]
    assert asked(door)[-2] == "faq-c6i"


def test_a_hung_endpoint_is_tried_again_after_a_while(door):
    clock = Clock()
    door.handler.app.endpoints._clock = clock
    short = hung(door, "faq-c6i")
    door.aws.reply("faq-g5", GOOD)
    door.call(ASK, short)
    door.aws.reply("faq-c6i", GOOD)
    clock.now += HUNG_SECONDS - 1
    assert door.call(ASK)[1]["served_by"]["instance_type"] == "ml.g5.2xlarge"
    clock.now += 2
    assert door.call(ASK)[1]["served_by"]["instance_type"] == "ml.c6i.xlarge"


def large(door, tokens=2_000, **limits):
    """A request of so many tokens, where the endpoints can do so many as `limits` say."""
    names = {"c6i": "ml.c6i.xlarge", "g5": "ml.g5.2xlarge"}
    most = {names[name]: limit for name, limit in limits.items()}
    door.handler.app.endpoints.deployed = tuple(
        endpoint.model_copy(update={"max_tokens": most.get(endpoint.instance_type)})
        for endpoint in door.handler.app.endpoints.deployed
    )
    texts = ["a" * 490] * (tokens // 100)  # 98 tokens and the ends of the text
    return event("/nearest", {"corpus": texts[1:], "queries": texts[:1], "top_k": 1})


NEIGHBOUR = Reply(b'[[{"corpus_id": 0, "score": 0.5}]]')


def test_a_large_request_gets_the_whole_time_of_one_endpoint(door):
    """And is not repeated at the next one, which has others to answer."""
    door.aws.reply("faq-c6i", Reply(silent_seconds=5))
    door.aws.reply("faq-g5", NEIGHBOUR)
    began = time.monotonic()
    status, answer = door.call(large(door, c6i=10_000, g5=10_000), Context(remaining_ms=2_600))
    assert time.monotonic() - began > 1.9
    assert (status, answer["code"]) == (504, "time_out")
    assert "ml.c6i.xlarge: time_out; ml.g5.2xlarge: not asked" in answer["message"]
    assert asked(door) == ["faq-c6i"]


def test_a_request_that_an_endpoint_has_dropped_does_not_make_it_hung(door):
    late = model_error(mms("time_out: the time for this request is over"))
    door.aws.reply("faq-c6i", late)
    door.aws.reply("faq-g5", NEIGHBOUR, GOOD)
    assert door.call(large(door, c6i=10_000))[1]["code"] == "time_out"
    door.aws.reply("faq-c6i", late, GOOD)
    served_by = door.call(large(door, c6i=100_000))[1]["served_by"]
    assert served_by["failed_over_from"] == [
        {"instance_type": "ml.c6i.xlarge", "reason": "time_out"}
    ], "a small one fails over"
    assert door.call(ASK)[1]["served_by"]["instance_type"] == "ml.c6i.xlarge"


@pytest.mark.parametrize(("busy", "status"), [(("faq-c6i",), 200), (("faq-c6i", "faq-g5"), 429)])
def test_a_large_request_beside_others_goes_elsewhere_or_waits(door, busy, status):
    for endpoint in ("faq-c6i", "faq-g5"):
        door.aws.reply(endpoint, NEIGHBOUR)
    for endpoint in busy:
        door.aws.reply(endpoint, model_error(mms("busy: other large requests are worked off")))
    request = large(door, c6i=10_000, g5=10_000)
    answer = door.handler.handler(request, Context())
    assert answer["statusCode"] == status
    assert answer["multiValueHeaders"].get("Retry-After") == (["5"] if status == 429 else None)
    assert all(each["ContentType"].endswith("; large=true") for each in door.aws.invocations)


def test_what_an_endpoint_cannot_do_in_time_goes_to_one_that_can(door):
    door.aws.reply("faq-g5", NEIGHBOUR)
    _, answer = door.call(large(door, c6i=1_999, g5=100_000))
    assert answer["served_by"] == {"instance_type": "ml.g5.2xlarge", "failed_over_from": []}
    assert asked(door) == ["faq-g5"]
    assert "large" not in door.aws.invocations[0]["ContentType"]


def test_what_no_endpoint_can_do_in_time_is_work_for_a_batch(door):
    status, answer = door.call(large(door, c6i=1_999, g5=1_000))
    assert (status, answer["code"]) == (413, "payload_too_large")
    assert "about 2,000 tokens" in answer["message"]
    assert "ml.c6i.xlarge: 1,999; ml.g5.2xlarge: 1,000" in answer["message"]
    assert "POST /batch" in answer["message"]
    assert asked(door) == []


def test_tokens_are_counted_as_the_model_reads_them():
    assert count_tokens(["hello", ""], 256) == 3 + 2
    assert count_tokens(["слово"], 256) == 4, "two bytes a letter"
    assert count_tokens(["a" * 20_000] * 10, 256) == 2_560, "what it cuts off is not read"


def test_an_endpoint_learns_until_when_its_answer_is_of_use(door):
    door.aws.reply("faq-c6i", GOOD)
    before = time.time()
    door.call(ASK, Context(remaining_ms=20_500))
    content_type = door.aws.invocations[0]["ContentType"]
    deadline = float(content_type.removeprefix("application/json; deadline="))
    assert 9 < deadline - before < 10, "half of the time, less what the way back takes"
    assert seconds_left(content_type, lambda: before) == pytest.approx(deadline - before)
    assert media_type(content_type) == "application/json"


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
