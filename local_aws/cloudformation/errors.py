"""Errors in the shape that AWS answers with, and failures of single resources."""

from __future__ import annotations


class ApiError(Exception):
    """A request that is refused.

    Args:
        message: The sentence the caller sees.
        code: AWS's name of the error.
        status: HTTP status.
    """

    def __init__(self, message: str, code: str = "ValidationError", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


class ResourceError(Exception):
    """A resource could not be brought to its wanted state.

    Args:
        reason: The sentence that the stack event shows.
        physical_id: What came into being all the same, and has to be deleted at rollback.
    """

    def __init__(self, reason: str, physical_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.physical_id = physical_id


class CancelledError(ResourceError):
    """Given up because another resource of the same operation failed."""
