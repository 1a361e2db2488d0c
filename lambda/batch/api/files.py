"""The files of a batch in S3: the one that a request names, and URLs that callers use.

The URLs let a caller without AWS credentials send the file and fetch the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from batch.api.answers import Download, Upload
from batch.api.records import InputObject
from contract.batch_objects import upload_key
from rest.errors import ApiError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

VALID_SECONDS: Final = 3600
MAX_DOWNLOADS: Final = 100
_FIELD: Final = "s3_uri"


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
        raise no_such_object() from None
    size = int(head["ContentLength"])
    if size == 0:
        raise ApiError("invalid_request", f"{_FIELD}: the object is empty.", field=_FIELD)
    return InputObject(bucket=bucket, key=key, version_id=head.get("VersionId"), size=size)


def no_such_object() -> ApiError:
    """The error for an object that the caller cannot have embedded."""
    return ApiError(
        "not_found",
        f"{_FIELD}: there is no such object, or this stage may not read it.",
        field=_FIELD,
    )


def upload_url(s3: S3Client, bucket: str, batch_id: str) -> Upload:
    """Where to upload the file of a batch."""
    url: str = s3.generate_presigned_url(
        "put_object",
        Params={"Bucket": bucket, "Key": upload_key(batch_id)},
        ExpiresIn=VALID_SECONDS,
    )
    expires_at = datetime.now(UTC) + timedelta(seconds=VALID_SECONDS)
    return {
        "url": url,
        "method": "PUT",
        "headers": {},
        "expires_at": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def downloads(s3: S3Client, report: Mapping[str, Any]) -> list[Download]:
    """The results of a report, at most 100: the merged file, then output, then rejects."""
    return [
        {"s3_uri": s3_uri, "url": _download_url(s3, s3_uri)}
        for s3_uri in islice(_results(report), MAX_DOWNLOADS)
    ]


def _results(report: Mapping[str, Any]) -> Iterable[str]:
    if report.get("merged"):
        yield report["merged"]
    yield from report.get("output", ())
    yield from report.get("rejects", ())


def _download_url(s3: S3Client, s3_uri: str) -> str:
    bucket, _, key = s3_uri.removeprefix("s3://").partition("/")
    url: str = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=VALID_SECONDS
    )
    return url
