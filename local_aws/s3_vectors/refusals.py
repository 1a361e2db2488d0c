"""The service's refusals."""

from __future__ import annotations

from local_aws.service_errors import ApiError


def invalid(message: str, *fields: tuple[str, str]) -> ApiError:
    """A ValidationException.

    Args:
        fields: The path of each wrong member, and what is wrong with it.
    """
    listed = [{"path": path, "message": wrong} for path, wrong in fields]
    return ApiError(message, "ValidationException", 400, fieldList=listed)


def not_found(what: str) -> ApiError:
    """A NotFoundException about "index", "vector bucket" and so on."""
    return ApiError(f"The specified {what} could not be found", "NotFoundException", 404)


def conflict(message: str) -> ApiError:
    """A ConflictException."""
    return ApiError(message, "ConflictException", 409)


def too_many() -> ApiError:
    """A TooManyRequestsException."""
    return ApiError("Please reduce your request rate", "TooManyRequestsException", 429)
