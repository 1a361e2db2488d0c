"""The errors of API Gateway itself, by its documented gateway response types."""

from __future__ import annotations

from dataclasses import dataclass


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
    ("REQUEST_TOO_LARGE", 413, "RequestTooLargeException", "Request Too Long"),
    ("THROTTLED", 429, "TooManyRequestsException", "Too Many Requests"),
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
