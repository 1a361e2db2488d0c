"""The file that a request names: whether it is allowed, and whether it exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from batch.api.records import InputObject
from rest.errors import ApiError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_FIELD = "s3_uri"


def find_object(s3: S3Client, s3_uri: str, locations: Sequence[str]) -> InputObject:
    """The object at `s3_uri`, which must lie below one of `locations` (S3 prefixes).

    Raises ApiError: invalid_request for another location or an empty object, not_found.
    """
    if not s3_uri.startswith(tuple(locations)):
        raise ApiError(
            "invalid_request",
            f"{_FIELD}: must begin with {' or '.join(locations)}. Copy other files there, or "
            "ask for an upload.",
            field=_FIELD,
        )
    bucket, _, key = s3_uri.removeprefix("s3://").partition("/")
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"].get("HTTPStatusCode") not in (403, 404):
            raise
        # For a bucket of another account, S3 does not distinguish the two.
        raise ApiError(
            "not_found",
            f"{_FIELD}: there is no such object, or this stage may not read it.",
            field=_FIELD,
        ) from None
    size = int(head["ContentLength"])
    if size == 0:
        raise ApiError("invalid_request", f"{_FIELD}: the object is empty.", field=_FIELD)
    return InputObject(bucket=bucket, key=key, version_id=head.get("VersionId"), size=size)
