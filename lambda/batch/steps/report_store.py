"""Where reports are kept. One that is there tells that its batch has ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from contract.batch_objects import report_key

_EXISTS = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


def write_report(s3: BaseClient, bucket: str, report: Mapping[str, Any]) -> None:
    """Write a report in the place of any before it."""
    s3.put_object(**_request(bucket, report))


def write_first_report(s3: BaseClient, bucket: str, report: Mapping[str, Any]) -> bool:
    """Write a report unless the batch has one, and return whether it was written."""
    try:
        s3.put_object(**_request(bucket, report), IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] not in _EXISTS:
            raise
        return False
    return True


def _request(bucket: str, report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Bucket": bucket,
        "Key": report_key(report["batch_id"]),
        "Body": json.dumps(report, indent=2).encode(),
        "ContentType": "application/json",
    }
