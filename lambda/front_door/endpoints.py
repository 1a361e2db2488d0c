"""Tries the deployed endpoints in order until one answers or the time is up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from front_door.answers import FailedOver, Reason, ServedBy
from front_door.aws import AWS_ERRORS, Aws
from front_door.environment import Endpoint, StageParameters
from front_door.time_budget import TimeBudget
from rest.errors import ApiError

T = TypeVar("T")

_CALLERS_MISTAKE: Final = "invalid_request: "
_IN_JSON: Final = re.compile(re.escape(_CALLERS_MISTAKE) + r'((?:[^"\\]|\\.)*)')
_REASONS: Final[dict[str, Reason]] = {
    "ThrottlingException": "throttled",
    "Throttling": "throttled",
    "ThrottledException": "throttled",
    "TooManyRequestsException": "throttled",
    "ModelNotReadyException": "unavailable",  # its status is 429, but nobody sends too much
}

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


class Endpoints:
    """The endpoints of this deployment, in order of preference."""

    def __init__(self, deployed: Sequence[Endpoint], aws: Aws, parameters: StageParameters) -> None:
        self.deployed = tuple(deployed)
        self._aws = aws
        self._parameters = parameters

    def ask(
        self,
        payload: bytes,
        read: Callable[[bytes], T],
        budget: TimeBudget,
        instance_type: str | None = None,
    ) -> Answer[T]:
        """The first answer to `payload`, from `instance_type` (default: the first) or the others.

        An answer that `read` refuses with a ValueError counts as a failure of its endpoint.

        Raises ApiError: invalid_request if the request is wrong; serving_off, throttled, time_out,
        model_error or model_unavailable once every endpoint has failed or the budget is spent.
        """
        order = self._order(instance_type)
        failed: list[FailedOver] = []
        for position, endpoint in enumerate(order):
            seconds = budget.attempt_seconds(others_left=len(order) - position - 1)
            if seconds is None:
                break
            try:
                with budget.waiting():
                    content = self.invoke(endpoint, payload, seconds)
                return Answer(read(content), endpoint.instance_type, tuple(failed))
            except AWS_ERRORS as error:
                name = endpoint.instance_type
                failed.append({"instance_type": name, "reason": reason_of(error)})
                _log_failure(endpoint, error)
        if any(each["reason"] == "not_found" for each in failed) and self._parameters.is_off():
            raise self._parameters.refusal()
        raise _nobody_answered(order, failed)

    def invoke(self, endpoint: Endpoint, payload: bytes, seconds: float) -> bytes:
        """One endpoint's answer within `seconds`; one of AWS_ERRORS if there is none."""
        return self._aws.invoke(endpoint.endpoint_name, payload, seconds)

    def _order(self, chosen: str | None) -> list[Endpoint]:
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


def _nobody_answered(order: Sequence[Endpoint], failed: Sequence[FailedOver]) -> ApiError:
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
        return ApiError("throttled", f"Every endpoint is busy ({tried}). Try again in a moment.")
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
    sentence = _callers_mistake(original) or _callers_mistake(error.response["Error"]["Message"])
    if sentence:
        raise ApiError("invalid_request", sentence)
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
