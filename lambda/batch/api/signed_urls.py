"""URLs that let a caller without AWS credentials send the file and fetch the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from batch.api.answers import Download, Upload
from contract.batch_objects import upload_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

VALID_SECONDS: Final = 3600
MAX_DOWNLOADS: Final = 100


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
