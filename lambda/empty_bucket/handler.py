"""The custom resource Custom::EmptyBucket: empties a bucket before its stack is deleted."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from boto_config import PATIENT
from custom_resource import answer, is_going_away

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# DeleteObjects takes no more.
_MAX_AT_ONCE = 1000

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


class EmptyBucket:
    """Empties the bucket on Delete if the whole stack goes; otherwise does nothing.

    CloudFormation also sends a Delete when an update drops or renames this resource while the
    bucket stays, e.g. once its removal policy says "retain". Then nothing may be lost.
    """

    def __init__(self) -> None:
        self._s3 = boto3.client("s3", config=PATIENT)
        self._cloudformation = boto3.client("cloudformation", config=PATIENT)

    def handle(self, event: Mapping[str, Any]) -> None:
        if event["RequestType"] != "Delete":
            answer(event, "SUCCESS", physical_id=event["ResourceProperties"]["BucketName"])
            return
        # The id that Create gave: the properties alone may already name another bucket.
        name = event["PhysicalResourceId"]
        try:
            if not is_going_away(self._cloudformation, event["StackId"]):
                logger.warning("Bucket %s keeps its objects because its stack stays", name)
            elif name == event["ResourceProperties"]["BucketName"]:
                logger.info("Removed %d versions from bucket %s", empty(self._s3, name), name)
        except Exception as error:
            logger.exception("Bucket %s was not emptied", name)
            reason = f"Bucket {name} could not be emptied: {error}"
            answer(event, "FAILED", physical_id=name, reason=reason)
            return
        answer(event, "SUCCESS", physical_id=name)


def empty(s3: S3Client, bucket: str) -> int:
    """Closes a bucket, then removes all versions, delete markers and unfinished uploads.

    Returns:
        How many versions and delete markers were removed; 0 if there is no such bucket.
    """
    try:
        _close(s3, bucket)
        _abort_uploads(s3, bucket)
        return _delete_versions(s3, bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return 0
        raise


def _close(s3: S3Client, bucket: str) -> None:
    """Replaces the bucket's policy by one that lets nobody add an object, nor use plain HTTP.

    S3 delivers access logs hours late. They would fill the bucket again, which CloudFormation then
    could not delete, nor would it call this function once more.
    """
    arn = f"arn:{s3.meta.partition}:s3:::{bucket}"
    anybody = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Resource": [arn, f"{arn}/*"]}
    without_tls = {"Bool": {"aws:SecureTransport": "false"}}
    statements = [
        {**anybody, "Action": "s3:PutObject", "Resource": f"{arn}/*"},
        {**anybody, "Action": "s3:*", "Condition": without_tls},
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def _abort_uploads(s3: S3Client, bucket: str) -> None:
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            try:
                s3.abort_multipart_upload(
                    Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchUpload":
                    raise


def _delete_versions(s3: S3Client, bucket: str) -> int:
    """Deletes from the beginning of the bucket until nothing is left."""
    removed = 0
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=_MAX_AT_ONCE)
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])][:_MAX_AT_ONCE]
        if not found:
            return removed
        response = s3.delete_objects(
            Bucket=bucket,
            Delete={
                "Objects": [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in found],
                "Quiet": True,
            },
        )
        refused = response.get("Errors", [])
        if refused:
            first = refused[0]
            raise RuntimeError(
                f"{first.get('Key')}: {first.get('Message') or first.get('Code')}"
                f" (and {len(refused) - 1} more)"
            )
        removed += len(found)


@cache
def _resource() -> EmptyBucket:
    return EmptyBucket()


def handler(event: dict[str, Any], _context: object) -> None:
    """Empties the bucket if that is asked, and answers CloudFormation."""
    _resource().handle(event)
