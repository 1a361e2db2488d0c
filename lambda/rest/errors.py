"""The errors of the REST API: one flat JSON object with a stable code and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NotRequired

# pydantic reads TypedDicts of Python 3.11 only from typing_extensions.
from typing_extensions import TypedDict

STATUS: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "forbidden": 403,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "client_token_conflict": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "throttled": 429,
    "too_many_batches": 429,
    "internal_error": 500,
    "model_error": 502,
    "model_unavailable": 503,
    "serving_off": 503,
    "index_unavailable": 503,
    "service_unavailable": 503,
    "time_out": 504,
}
# Worth repeating after so many seconds; everything else would only fail again.
RETRY_AFTER: Final[Mapping[str, int]] = {
    "throttled": 1,
    "too_many_batches": 30,
    "model_unavailable": 1,
    "service_unavailable": 1,
}

USE_BATCH: Final = "For more at once use batch transform: POST /batch."


class ErrorAnswer(TypedDict):
    """Every answer that is not a success."""

    code: str
    message: str
    request_id: str
    field: NotRequired[str]


class ApiError(Exception):
    """An answer that is not a success.

    `code` is a key of STATUS, `message` a sentence for the caller, `field` the wrong part of the
    request as a dotted path (`queries.3`), and `details` further members of the JSON object.
    `retry_seconds` takes the place of RETRY_AFTER's.
    """

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.details = details or {}
        self.retry_seconds = retry_seconds

    @property
    def status(self) -> int:
        """The HTTP status that belongs to the code."""
        return STATUS[self.code]

    def to_dict(self, request_id: str) -> dict[str, Any]:
        """The JSON object that the caller receives."""
        answer = {"code": self.code, "message": self.message, "request_id": request_id}
        if self.field is not None:
            answer["field"] = self.field
        return answer | dict(self.details)


@dataclass(frozen=True)
class ErrorForm:
    """How the errors of a route are written.

    shape: of their bodies, for the OpenAPI document. write: an error and the request's id -> body.
    """

    shape: type
    write: Callable[[ApiError, str], Mapping[str, Any]]


FLAT: Final = ErrorForm(ErrorAnswer, ApiError.to_dict)
