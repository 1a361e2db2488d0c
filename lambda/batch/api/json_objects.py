"""Small JSON objects in S3."""

from __future__ import annotations

from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError
from pydantic_core import from_json


def read_json(s3: BaseClient, bucket: str, key: str) -> dict[str, Any] | None:
    """The JSON object, or None if there is none."""
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    found: dict[str, Any] = from_json(content)
    return found
