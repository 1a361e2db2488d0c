"""What a failed InvokeEndpoint means: the caller's fault, or a reason to ask the next endpoint."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from front_door.answers import FailedOver, Reason
from front_door.aws_calls import AwsError, RefusedError, TimedOutError
from rest.errors import ApiError

_CALLERS_FAULT: Final = "invalid_request: "
_IN_JSON: Final = re.compile(re.escape(_CALLERS_FAULT) + r'((?:[^"\\]|\\.)*)')
_REASONS: Final[dict[str, Reason]] = {
    "ThrottlingException": "throttled",
    "Throttling": "throttled",
    "ThrottledException": "throttled",
    "TooManyRequestsException": "throttled",
    "ModelNotReadyException": "unavailable",  # its status is 429, but nobody asks too much
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An endpoint that did not answer; `reason` is what callers are told."""

    instance_type: str
    reason: Reason

    def to_dict(self) -> FailedOver:
        """The entry of `failed_over_from`."""
        return {"instance_type": self.instance_type, "reason": self.reason}


def reason_of(error: AwsError) -> Reason:
    """Why the endpoint did not answer.

    Raises ApiError (invalid_request) when the model says the request itself is at fault: another
    endpoint would say the same.
    """
    if isinstance(error, TimedOutError):
        return "time_out"
    if not isinstance(error, RefusedError):
        return "unavailable"
    if error.code == "ModelError":
        return _model_error(error)
    if error.code == "ValidationError" and "not found" in error.message.lower():
        return "not_found"
    return _REASONS.get(error.code, "throttled" if error.status == 429 else "unavailable")


def _model_error(error: RefusedError) -> Reason:
    original = str(error.fields.get("OriginalMessage") or "")
    sentence = _callers_fault(original) or _callers_fault(error.message)
    if sentence:
        raise ApiError("invalid_request", sentence)
    # The model server's own "all workers are busy".
    return "unavailable" if error.fields.get("OriginalStatusCode") == 503 else "model_error"


def _callers_fault(message: str) -> str:
    """The sentence behind `invalid_request: `, wherever the model server put it, or nothing."""
    try:
        text = json.loads(message)["message"]
    except (ValueError, KeyError, TypeError):
        found = _IN_JSON.search(message)
        if not found:
            return ""
        try:
            return str(json.loads(f'"{found[1]}"', strict=False))
        except ValueError:
            return found[1]
    return str(text).partition(_CALLERS_FAULT)[2]
