"""Tries the deployed endpoints in order until one answers or the time is up."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from front_door.answers import FailedOver, Reason, ServedBy
from front_door.aws import AWS_ERRORS, Aws
from front_door.environment import Endpoint, StageParameters
from front_door.time_budget import TimeBudget
from rest.errors import USE_BATCH, ApiError

T = TypeVar("T")

# For so long an endpoint that did not answer in time is asked after the others.
HUNG_SECONDS: Final = 30
# A request is large if it takes more than this share of what an endpoint can do in the time of a
# request; or, if that is not known, has so many bytes.
_LARGE_SHARE: Final = 0.1
_LARGE_BYTES: Final = 100_000
# For a caller whose large request found as many others in the works.
_LARGE_RETRY_SECONDS: Final = 5
_BYTES_A_TOKEN: Final = 5
_CALLERS_MISTAKE: Final = "invalid_request: "
_IN_JSON: Final = re.compile(re.escape(_CALLERS_MISTAKE) + r'((?:[^"\\]|\\.)*)')
_REASONS: Final[dict[str, Reason]] = {
    "ThrottlingException": "throttled",
    "Throttling": "throttled",
    "ThrottledException": "throttled",
    "TooManyRequestsException": "throttled",
    "ModelNotReadyException": "unavailable",  # its status is 429, but nobody sends too much
}

# What the container says of itself.
_SAID: Final[dict[str, Reason]] = {"time_out: ": "time_out", "busy: ": "throttled"}

logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What an endpoint answered, which one it was, and which had failed before."""

    value: T
    instance_type: str
    failed: tuple[FailedOver, ...]

    def served_by(self) -> ServedBy:
        """The endpoint that answered and those that failed, for the caller."""
        return {
            "instance_type": self.instance_type,
            "failed_over_from": list(self.failed),
        }


def count_tokens(texts: Sequence[str], max_seq_length: int) -> int:
    """About how many tokens the model reads of the texts.

    A token for every five bytes of UTF-8, as English texts have; two for the ends of each text.
    """
    return sum(min(max_seq_length, 2 + len(text.encode()) // _BYTES_A_TOKEN) for text in texts)


class Endpoints:
    """The endpoints of this deployment, in order of preference.

    Remembers those that hang, as far as this process has seen it.

    Args:
        clock: returns seconds and never goes back.
    """

    def __init__(
        self,
        deployed: Sequence[Endpoint],
        aws: Aws,
        parameters: StageParameters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.deployed = tuple(deployed)
        self._aws = aws
        self._parameters = parameters
        self._clock = clock
        self._hung_until: dict[str, float] = {}

    def ask(
        self,
        payload: bytes,
        read: Callable[[bytes], T],
        budget: TimeBudget,
        instance_type: str | None = None,
        tokens: int = 0,
    ) -> Answer[T]:
        """The first answer to `payload`, from `instance_type` (default: the first) or the others.

        An answer that `read` refuses with a ValueError counts as a failure of its endpoint. A
        large request gets all the time from one endpoint: the next one could do no more with what
        would be left, and has others to answer.

        Raises ApiError: invalid_request if the request is wrong; payload_too_large if no endpoint
        could encode so many `tokens` in time; serving_off, throttled, time_out, model_error or
        model_unavailable once every endpoint has failed or the budget is spent.
        """
        order = self._able(self._order(instance_type), tokens)
        failed: list[FailedOver] = []
        is_large = False
        for position, endpoint in enumerate(order):
            is_large = _is_large(endpoint, tokens, payload)
            others_left = 0 if is_large else len(order) - position - 1
            seconds = budget.attempt_seconds(others_left)
            if seconds is None:
                break
            try:
                with budget.waiting():
                    content = self.invoke(endpoint, payload, seconds, large=is_large)
                self._hung_until.pop(endpoint.endpoint_name, None)
                return Answer(read(content), endpoint.instance_type, tuple(failed))
            except AWS_ERRORS as error:
                reason = reason_of(error)
                failed.append({"instance_type": endpoint.instance_type, "reason": reason})
                _log_failure(endpoint, error)
                if reason == "time_out":
                    if not isinstance(error, ClientError):
                        self._remember_hung(endpoint)
                    if is_large:
                        break
        if any(each["reason"] == "not_found" for each in failed) and self._parameters.is_off():
            raise self._parameters.refusal()
        raise _nobody_answered(order, failed, is_large=is_large)

    def invoke(
        self, endpoint: Endpoint, payload: bytes, seconds: float, *, large: bool = False
    ) -> bytes:
        """One endpoint's answer within `seconds`; one of AWS_ERRORS if there is none."""
        return self._aws.invoke(endpoint.endpoint_name, payload, seconds, large=large)

    def _remember_hung(self, endpoint: Endpoint) -> None:
        self._hung_until[endpoint.endpoint_name] = self._clock() + HUNG_SECONDS

    def _is_hung(self, endpoint: Endpoint) -> bool:
        return self._clock() < self._hung_until.get(endpoint.endpoint_name, -math.inf)

    def _able(self, order: Sequence[Endpoint], tokens: int) -> list[Endpoint]:
        """Those of `order` that can encode so many tokens in time; ApiError if there are none."""
        able = [each for each in order if each.max_tokens is None or tokens <= each.max_tokens]
        if not able:
            limits = "; ".join(f"{each.instance_type}: {each.max_tokens:,}" for each in order)
            raise ApiError(
                "payload_too_large",
                f"The texts have about {tokens:,} tokens, more than an endpoint can encode in the "
                f"time of a request ({limits}). {USE_BATCH}",
            )
        return able

    def _order(self, chosen: str | None) -> list[Endpoint]:
        """The chosen one first; those that hang last, in the same order."""
        return sorted(self._by_choice(chosen), key=self._is_hung)

    def _by_choice(self, chosen: str | None) -> list[Endpoint]:
        if chosen is None:
            return list(self.deployed)
        first = [endpoint for endpoint in self.deployed if endpoint.instance_type == chosen]
        if not first:
            names = ", ".join(endpoint.instance_type for endpoint in self.deployed)
            raise ApiError(
                "invalid_request",
                f"instance_type: not deployed; choose one of {names}.",
                field="instance_type",
            )
        return first + [e for e in self.deployed if e.instance_type != chosen]


def _log_failure(endpoint: Endpoint, error: Exception) -> None:
    # Neither the message nor the original one: they may quote the caller's text.
    response = error.response if isinstance(error, ClientError) else {}
    logger.warning(
        "endpoint failed",
        endpoint_name=endpoint.endpoint_name,
        error=type(error).__name__,
        error_code=response.get("Error", {}).get("Code"),
        original_status=response.get("OriginalStatusCode"),
    )


def _is_large(endpoint: Endpoint, tokens: int, payload: bytes) -> bool:
    """Whether a request would keep an endpoint busy for seconds."""
    if endpoint.max_tokens is None:
        return len(payload) > _LARGE_BYTES
    return tokens > _LARGE_SHARE * endpoint.max_tokens


def _nobody_answered(
    order: Sequence[Endpoint], failed: Sequence[FailedOver], *, is_large: bool
) -> ApiError:
    reasons = [each["reason"] for each in failed]
    not_asked = order[len(failed) :]
    tried = "; ".join(
        [f"{each['instance_type']}: {each['reason']}" for each in failed]
        + [f"{endpoint.instance_type}: not asked, no time was left" for endpoint in not_asked]
    )
    if not_asked or reasons[-1] == "time_out":
        return ApiError(
            "time_out", f"No endpoint answered in time ({tried}). Send fewer or shorter texts."
        )
    if set(reasons) == {"throttled"}:
        return ApiError(
            "throttled",
            f"Every endpoint is busy ({tried}). Try again in a moment.",
            retry_seconds=_LARGE_RETRY_SECONDS if is_large else None,
        )
    if "model_error" in reasons:
        return ApiError("model_error", f"The model failed ({tried}). Your request is fine.")
    return ApiError("model_unavailable", f"No endpoint could answer ({tried}). Try again later.")


def reason_of(error: Exception) -> Reason:
    """Why the endpoint failed; `error` is one of AWS_ERRORS.

    Raises ApiError (invalid_request) if the model says that the request itself is wrong: another
    endpoint would say the same.
    """
    if isinstance(error, TimeoutError | ConnectTimeoutError | ReadTimeoutError):
        return "time_out"
    if isinstance(error, ValueError):
        return "model_error"
    if not isinstance(error, ClientError):
        return "unavailable"
    code = error.response["Error"]["Code"]
    if code == "ModelError":
        return _model_error(error)
    if code == "ValidationError" and "not found" in error.response["Error"]["Message"].lower():
        return "not_found"
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return _REASONS.get(code, "throttled" if status == 429 else "unavailable")


def _model_error(error: ClientError) -> Reason:
    original = str(error.response.get("OriginalMessage") or "")
    message = error.response["Error"]["Message"]
    sentence = _callers_mistake(original) or _callers_mistake(message)
    if sentence:
        raise ApiError("invalid_request", sentence)
    for said, reason in _SAID.items():
        if said in original or said in message:
            return reason
    # The model server's own "all workers are busy".
    return "unavailable" if error.response.get("OriginalStatusCode") == 503 else "model_error"


def _callers_mistake(message: str) -> str:
    """The sentence behind `invalid_request: `, wherever the model server put it, or nothing."""
    try:
        text = json.loads(message)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = _IN_JSON.search(message)
        if not found:
            return ""
        try:
            return str(json.loads(f'"{found[1]}"', strict=False))
        except ValueError:
            return found[1]
    return str(text).partition(_CALLERS_MISTAKE)[2]
