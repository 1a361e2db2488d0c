"""Removes everything from a bucket, so that CloudFormation can delete it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

_ABSENT = {"404", "NoSuchBucket"}
# DeleteObjects takes no more.
_MOST_AT_ONCE = 1000


class NotEmptiedError(Exception):
    """S3 refused to delete some objects; the message names the first."""


def empty(s3: BaseClient, bucket: str) -> int:
    """Remove all versions, delete markers and unfinished uploads of a bucket.

    Args:
        s3: a boto3 client.
        bucket: its name. One that does not exist counts as empty.

    Returns:
        How many versions and delete markers were removed.

    Raises:
        NotEmptiedError: S3 refused to delete an object.
    """
    try:
        _abort_uploads(s3, bucket)
        return sum(_delete(s3, bucket, versions) for versions in _versions(s3, bucket))
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return 0
        raise


def _abort_uploads(s3: BaseClient, bucket: str) -> None:
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            try:
                s3.abort_multipart_upload(
                    Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchUpload":
                    raise


def _versions(s3: BaseClient, bucket: str) -> Iterator[list[dict[str, str]]]:
    """Versions and delete markers, a request's worth at a time, until none is left.

    What was given is gone by the next look, so each look is at the bucket's beginning.
    """
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=_MOST_AT_ONCE)
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not found:
            return
        yield [_identity(item) for item in found[:_MOST_AT_ONCE]]


def _identity(item: Mapping[str, Any]) -> dict[str, str]:
    return {"Key": item["Key"], "VersionId": item["VersionId"]}


def _delete(s3: BaseClient, bucket: str, versions: list[dict[str, str]]) -> int:
    response = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
    for refused in response.get("Errors", []):
        raise NotEmptiedError(
            f"{refused['Key']}: {refused.get('Message') or refused.get('Code')} "
            f"(and {len(response['Errors']) - 1} more)"
        )
    return len(versions)
