"""From an API Gateway event to a checked request, or the sentence that says what is wrong."""

from __future__ import annotations

import base64
import binascii
from email.message import Message
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rest.errors import USE_BATCH, ApiError
from rest.event import ApiEvent

Request = TypeVar("Request", bound=BaseModel)

# With it, what goes on to an endpoint stays below what the model server takes.
MAX_BODY_BYTES: Final = 5 * 1024 * 1024
_FAULTS_TOLD: Final = 5
_NAME_CHARACTERS: Final = 100


def read_request(event: ApiEvent, model: type[Request]) -> Request:
    """The event's body as a `model`.

    Raises ApiError: unsupported_media_type, payload_too_large or invalid_request.
    """
    _check_content_type(event.headers.get("content-type"))
    body = _body_bytes(event)
    if len(body) > MAX_BODY_BYTES:
        raise ApiError(
            "payload_too_large",
            f"The body has {len(body):,} bytes; at most {MAX_BODY_BYTES:,} are allowed. "
            f"{USE_BATCH}",
        )
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(
            "invalid_request", f"The body is not UTF-8: byte {error.start} cannot be decoded."
        ) from None
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error) from None


def _check_content_type(value: str | None) -> None:
    header = Message()
    header["Content-Type"] = value or "none/none"
    charset = header.get_param("charset", "utf-8")
    if header.get_content_type() != "application/json" or str(charset).lower() != "utf-8":
        raise ApiError(
            "unsupported_media_type",
            "Send the body as UTF-8 JSON, with the header Content-Type: application/json.",
        )


def _body_bytes(event: ApiEvent) -> bytes:
    try:
        if event.is_base64_encoded:
            return base64.b64decode(event.body, validate=True)
        return event.body.encode("utf-8")
    except (binascii.Error, UnicodeEncodeError):
        raise ApiError("invalid_request", "The body is not UTF-8 text.") from None


def _invalid(error: ValidationError) -> ApiError:
    # The input stays out of the details: it is the caller's text, and may be megabytes.
    details = error.errors(include_url=False, include_context=True, include_input=False)
    told = "; ".join(_sentence(detail) for detail in details[:_FAULTS_TOLD])
    if len(details) > _FAULTS_TOLD:
        told += f"; and {len(details) - _FAULTS_TOLD} more"
    return ApiError("invalid_request", f"{told}.", field=_path(details[0]) or None)


def _path(detail: ErrorDetails) -> str:
    return ".".join(str(part) for part in detail["loc"])[:_NAME_CHARACTERS]


def _sentence(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    what = {
        "missing": "is missing",
        "extra_forbidden": "is not a field of this request",
        "finite_number": "is not a finite number",
    }.get(detail["type"], "")
    if detail["type"] == "json_invalid":
        return f"The body is not valid JSON: {context.get('error', 'it cannot be read')}"
    if detail["type"] == "string_pattern_mismatch" and context.get("pattern") == r"\S":
        what = "is empty or only white space; give it text"
    if not what:
        what = detail["msg"].replace("Input should", "should").replace(" after validation", "")
    return f"{_path(detail) or 'The body'}: {what}"
