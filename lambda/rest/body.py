"""From an API Gateway event to a checked request, or the sentence that says what is wrong."""

from __future__ import annotations

import base64
import binascii
from email.message import Message
from typing import Any, Final, TypeVar

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from rest.errors import USE_BATCH, ApiError

Request = TypeVar("Request", bound=BaseModel)

# With it, what goes on to an endpoint stays below what the model server takes.
MAX_BODY_BYTES: Final = 5 * 1024 * 1024
_MOST_PROBLEMS: Final = 5
_NAME_CHARACTERS: Final = 100


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# For integers: JSON has one kind of number, so 3.0 is an integer to JSON Schema and to callers.
WHOLE: Final = BeforeValidator(_whole)


def without_titles(schema: dict[str, Any]) -> None:
    """Titles only repeat the names of the fields."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


class RequestModel(BaseModel):
    """A JSON object without unknown fields, whose values are not converted."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, json_schema_extra=without_titles
    )


def read_request(event: APIGatewayProxyEvent, model: type[Request]) -> Request:
    """The event's body as a `model`.

    It is read from its bytes, not as Powertools would, from a dictionary: that way NaN, lone
    surrogates and deep nesting are refused, and 5 MB are parsed once.

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


def _body_bytes(event: APIGatewayProxyEvent) -> bytes:
    body = event.body or ""
    try:
        if event.is_base64_encoded:
            return base64.b64decode(body, validate=True)
        return body.encode("utf-8")
    except (binascii.Error, UnicodeEncodeError):
        raise ApiError("invalid_request", "The body is not UTF-8 text.") from None


def _invalid(error: ValidationError) -> ApiError:
    # The input stays out of the details: it is the caller's text, and may be megabytes.
    details = error.errors(include_url=False, include_context=True, include_input=False)
    message = "; ".join(_sentence(detail) for detail in details[:_MOST_PROBLEMS])
    if len(details) > _MOST_PROBLEMS:
        message += f"; and {len(details) - _MOST_PROBLEMS} more"
    return ApiError("invalid_request", f"{message}.", field=_path(details[0]) or None)


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
