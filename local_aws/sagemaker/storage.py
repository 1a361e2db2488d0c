"""S3 as SageMaker uses it: a prefix into a folder, one object as a stream, one file back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.client import BaseClient
from botocore.exceptions import ClientError

# In parts, so that no file is ever in memory; one after another, since two cores do the rest.
_PART = 16 * 1024 * 1024
_IN_PARTS = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, use_threads=False)
_URI = re.compile(r"s3://(?P<bucket>[^/]+)/?(?P<key>.*)", re.DOTALL)


@dataclass(frozen=True)
class Location:
    """Bucket and key, or key prefix."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Takes "s3://bucket/key" apart.

        Raises:
            ValueError: For any other scheme.
        """
        match = _URI.fullmatch(uri)
        if match is None:
            raise ValueError(f"not an S3 address: {uri}")
        return cls(match["bucket"], match["key"])


def find_objects(s3: BaseClient, prefix: Location) -> Iterator[tuple[str, str]]:
    """(key, ETag) of every object whose key starts with the prefix, but for folder markers.

    Nothing where the bucket does not exist.
    """
    pages = s3.get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=prefix.bucket, Prefix=prefix.key):
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):
                    yield item["Key"], item["ETag"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise


def relative_name(key: str, prefix: str) -> str:
    """File name that SageMaker gives an object it found below a prefix."""
    if key == prefix:
        return PurePosixPath(key).name
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def download(s3: BaseClient, location: Location, path: Path) -> None:
    """One object to one file; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(location.bucket, location.key, str(path), Config=_IN_PARTS)


def upload(s3: BaseClient, path: Path, location: Location, key_id: str | None) -> None:
    """One file to one object, under a KMS key if there is one."""
    encryption: dict[str, Any] = {}
    if key_id is not None:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id}
    s3.upload_file(str(path), location.bucket, location.key, ExtraArgs=encryption, Config=_IN_PARTS)
