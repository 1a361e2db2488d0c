"""Errors of the API, and failures of single resources."""

from __future__ import annotations


class ApiError(Exception):
    """A request that is refused.

    Args:
        code: AWS's name of the error.
        status: HTTP status.
    """

    def __init__(self, message: str, code: str = "ValidationError", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


class ResourceError(Exception):
    """A resource could not be created, changed or deleted.

    Args:
        reason: The text in the stack's event.
        physical_id: Of what was created all the same and has to be deleted in the rollback.
    """

    def __init__(self, reason: str, physical_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.physical_id = physical_id


class CancelledError(ResourceError):
    """Cancelled because another resource of the same operation failed."""
