"""What a failed InvokeEndpoint means: the caller's mistake, or the next endpoint's turn."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from front_door.answers import FailedOver, Reason
from rest.errors import ApiError

_CALLERS_MISTAKE: Final = "invalid_request: "
_IN_JSON: Final = re.compile(re.escape(_CALLERS_MISTAKE) + r'((?:[^"\\]|\\.)*)')
_REASONS: Final[dict[str, Reason]] = {
    "ThrottlingException": "throttled",
    "Throttling": "throttled",
    "ThrottledException": "throttled",
    "TooManyRequestsException": "throttled",
    "ModelNotReadyException": "unavailable",  # its status is 429, but nobody sends too much
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An endpoint that failed, and the reason that callers see."""

    instance_type: str
    reason: Reason

    def to_dict(self) -> FailedOver:
        """The entry of `failed_over_from`."""
        return {"instance_type": self.instance_type, "reason": self.reason}


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
