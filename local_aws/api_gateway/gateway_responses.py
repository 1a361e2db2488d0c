"""The errors of API Gateway itself, by documented type, and how an API customises them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.]*[A-Za-z0-9_])")
_HEADER = "gatewayresponse.header."
_DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'


@dataclass(frozen=True, slots=True)
class ResponseType:
    """Defaults of one gateway response type."""

    name: str
    status: int
    error_type: str
    message: str


def _types(*rows: tuple[str, int, str, str]) -> dict[str, ResponseType]:
    return {row[0]: ResponseType(*row) for row in rows}


RESPONSE_TYPES = _types(
    ("ACCESS_DENIED", 403, "AccessDeniedException", "Forbidden"),
    (
        "AUTHORIZER_CONFIGURATION_ERROR",
        500,
        "AuthorizerConfigurationException",
        "Internal server error",
    ),
    ("AUTHORIZER_FAILURE", 500, "AuthorizerFailureException", "Internal server error"),
    ("API_CONFIGURATION_ERROR", 500, "InternalServerErrorException", "Internal server error"),
    ("EXPIRED_TOKEN", 403, "ExpiredTokenException", "The security token has expired"),
    # AWS documents 504 for INTEGRATION_FAILURE, but answers 502 for a Lambda function's error or
    # malformed answer.
    ("INTEGRATION_FAILURE", 502, "InternalServerErrorException", "Internal server error"),
    ("INTEGRATION_TIMEOUT", 504, "InternalServerErrorException", "Endpoint request timed out"),
    ("INVALID_API_KEY", 403, "ForbiddenException", "Forbidden"),
    ("INVALID_SIGNATURE", 403, "InvalidSignatureException", "Invalid signature"),
    (
        "MISSING_AUTHENTICATION_TOKEN",
        403,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    ),
    ("QUOTA_EXCEEDED", 429, "LimitExceededException", "Limit Exceeded"),
    ("REQUEST_TOO_LARGE", 413, "RequestTooLargeException", "Request Too Long"),
    ("THROTTLED", 429, "TooManyRequestsException", "Too Many Requests"),
    ("UNAUTHORIZED", 401, "UnauthorizedException", "Unauthorized"),
)


class GatewayError(Exception):
    """A request that API Gateway itself answers.

    Args:
        name: A gateway response type, e.g. "THROTTLED".
        message: Instead of the type's.
        error_type: Value of x-amzn-ErrorType, instead of the type's.
    """

    def __init__(
        self, name: str, message: str | None = None, *, error_type: str | None = None
    ) -> None:
        self.response_type = RESPONSE_TYPES[name]
        self.message = message if message is not None else self.response_type.message
        self.error_type = error_type or self.response_type.error_type
        super().__init__(f"{name}: {self.message}")


def render(
    error: GatewayError, context: dict[str, str], customised: dict[str, dict[str, Any]]
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for an error.

    Templates are JSON, and headers have literal values ('...').

    Args:
        context: The request's `$context` variables; gets those of the error.
        customised: The API's gateway responses by type; DEFAULT_4XX and DEFAULT_5XX are used for
            types that are not in it.
    """
    kind = error.response_type
    context |= {
        "error.message": error.message,
        "error.messageString": json.dumps(error.message),
        "error.responseType": kind.name,
    }
    fallback = "DEFAULT_4XX" if kind.status < 500 else "DEFAULT_5XX"
    chosen = customised.get(kind.name) or customised.get(fallback) or {}
    templates = chosen.get("responseTemplates") or {}
    template = templates.get("application/json", _DEFAULT_TEMPLATE)
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.error_type}
    for target, source in (chosen.get("responseParameters") or {}).items():
        if target.startswith(_HEADER) and source.startswith("'"):
            headers[target.removeprefix(_HEADER)] = source.strip("'")

    def value(match: re.Match[str]) -> str:
        # Nothing for a variable without a value (unverified).
        text = context.get(match[1], "")
        return text if match[1].endswith("String") else json.dumps(text)[1:-1]

    body = _VARIABLE.sub(value, template)
    return int(chosen.get("statusCode") or kind.status), headers, body.encode()
