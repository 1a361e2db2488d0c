"""Clients of AWS, each made when it is first needed, and what their failures mean to callers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rest.errors import ApiError
from rest.snapshots import session_without_credentials

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_stepfunctions import SFNClient

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
        self._session = session_without_credentials()

    def load(self) -> None:
        """Makes every client."""
        _ = self.s3, self.stepfunctions, self.sagemaker

    @cached_property
    def s3(self) -> S3Client:
        """Signs URLs with Signature Version 4, which objects under a KMS key require.

        And for the bucket's host in its region: botocore's default is the global one, which
        redirects for buckets elsewhere, and no browser follows that to upload a file.
        """
        config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"}, **_TIMES)
        return cast("S3Client", self._session.create_client("s3", config=config))

    @cached_property
    def stepfunctions(self) -> SFNClient:
        config = Config(**_TIMES)
        return cast("SFNClient", self._session.create_client("stepfunctions", config=config))

    @cached_property
    def sagemaker(self) -> SageMakerClient:
        """Loading its service model takes a while, and most requests do not need it."""
        config = Config(**_TIMES)
        return cast("SageMakerClient", self._session.create_client("sagemaker", config=config))


def api_error(error: BotoCoreError | ClientError) -> ApiError | None:
    """The error for a failure that may pass; None for any other, which is our own bug."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        if error.response["Error"]["Code"] in _THROTTLES:
            return ApiError("throttled", "AWS is throttling requests. Try again in a moment.")
        if status < 500 and status != 409:
            return None
    return ApiError("service_unavailable", "An AWS service failed. Try again in a moment.")
