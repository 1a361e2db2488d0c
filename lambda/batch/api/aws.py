"""Clients of AWS, each made when it is first needed, and what their failures mean to callers."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from rest.errors import ApiError

# API Gateway waits for 29 seconds in all, and a request makes few calls.
_TIMES: Final[dict[str, Any]] = {
    "connect_timeout": 2,
    "read_timeout": 5,
    "retries": {"mode": "standard", "max_attempts": 3},
}
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


class Aws:
    """Clients of the services that batches need."""

    def __init__(self) -> None:
        self._session = Session()

    @cached_property
    def s3(self) -> BaseClient:
        """Signs URLs with Signature Version 4, which objects under a KMS key require."""
        return self._session.create_client("s3", config=Config(signature_version="s3v4", **_TIMES))

    @cached_property
    def stepfunctions(self) -> BaseClient:
        return self._session.create_client("stepfunctions", config=Config(**_TIMES))

    @cached_property
    def sagemaker(self) -> BaseClient:
        """Loading its service model takes a while, and most requests do not need it."""
        return self._session.create_client("sagemaker", config=Config(**_TIMES))


def api_error(error: BotoCoreError | ClientError) -> ApiError | None:
    """The error for a failure that may pass; None for any other, which is our own bug."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        if error.response["Error"]["Code"] in _THROTTLES:
            return ApiError("throttled", "AWS is throttling requests. Try again in a moment.")
        if status < 500 and status != 409:
            return None
    return ApiError("service_unavailable", "An AWS service failed. Try again in a moment.")
