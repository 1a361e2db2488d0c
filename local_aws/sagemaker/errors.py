"""Errors as SageMaker words them."""

from __future__ import annotations


class ApiError(Exception):
    """An error that is answered to the caller.

    Args:
        code: AWS's error code, e.g. "ValidationException".
        members: Further members of the error's shape.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, **members: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members


def invalid(message: str) -> ApiError:
    """SageMaker's error for nearly all invalid requests."""
    return ApiError("ValidationException", message)


def not_found(kind: str, arn: str) -> ApiError:
    """For models, endpoint configurations and endpoints; jobs have another error."""
    return invalid(f'Could not find {kind} "{arn}".')


def already_exists(kind: str, arn: str) -> ApiError:
    """For models, endpoint configurations and endpoints; jobs have another error."""
    return invalid(f'Cannot create already existing {kind} "{arn}".')


def job_exists(arn: str) -> ApiError:
    """For training jobs and transform jobs, whose names are never reused."""
    return ApiError(
        "ResourceInUse",
        "Job name must be unique within an AWS account and region, and a job with this name "
        f"already exists ({arn})",
    )
