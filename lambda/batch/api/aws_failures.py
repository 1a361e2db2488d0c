"""What a failed call of S3, Step Functions or SageMaker means to a caller."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from rest.errors import ApiError

_THROTTLES: Final = frozenset(
    {
        "ExecutionLimitExceeded",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def api_error(error: BotoCoreError | ClientError) -> ApiError | None:
    """The answer to a failure that may pass; None of any other, which is a fault of ours."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        if error.response["Error"]["Code"] in _THROTTLES:
            return ApiError("throttled", "AWS is busy with too many requests. Try again.")
        if status < 500 and status != 409:
            return None
    return ApiError("service_unavailable", "AWS did not do what it was asked. Try again.")
