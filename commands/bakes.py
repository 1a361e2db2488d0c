"""The bakes in the artifacts bucket: markers, artifacts and corpora."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contract.bake_objects import (
    ARTIFACT_SUFFIX,
    BAKES_PREFIX,
    bake_id_of_key,
    bake_prefix,
    corpus_prefix,
    marker_key,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

_ABSENT = {"404", "NoSuchKey", "NotFound"}


@dataclass
class Stored:
    """What a bake takes up: bytes of all versions, when the newest was written, and each of them
    as DeleteObjects names it.

    They are in the order in which S3 lists them, by key, so that the marker is deleted first:
    without it a bake is no longer reused, and a removal cut short does no harm.
    """

    size: int = 0
    newest: datetime | None = None
    versions: list[ObjectIdentifierTypeDef] = field(default_factory=list)

    def add(self, version: Mapping[str, Any]) -> None:
        self.size += version.get("Size", 0)  # a delete marker has none
        self.newest = max(filter(None, (self.newest, version["LastModified"])))
        self.versions.append({"Key": version["Key"], "VersionId": version["VersionId"]})


class Bakes:
    """The bakes of one bucket.

    Args:
        bucket: the artifacts bucket.
    """

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self.bucket = bucket

    def ids(self) -> list[str]:
        """Of every bake that has left anything."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=BAKES_PREFIX, Delimiter="/"
        )
        return [
            bake_id_of_key(prefix["Prefix"])
            for page in pages
            for prefix in page.get("CommonPrefixes", [])
        ]

    def marker(self, bake_id: str) -> dict[str, Any] | None:
        """What the bake's marker says; None where the bake did not finish or was pruned."""
        try:
            answer = self._s3.get_object(Bucket=self.bucket, Key=marker_key(bake_id))
            marker = json.loads(answer["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        except ValueError:
            return None
        return marker if isinstance(marker, dict) else None

    def has_artifact(self, marker: dict[str, Any]) -> bool:
        """Whether the artifact that a marker names is there, in this bucket."""
        bucket, _, key = str(marker.get("model_data_url")).removeprefix("s3://").partition("/")
        if bucket != self.bucket:
            return False
        try:
            self._s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return False
            raise
        return True

    def has_finished(self, bake_id: str) -> bool:
        """Whether marker and artifact are listed: the right to list is all it takes."""
        keys = self._keys(bake_prefix(bake_id))
        artifacts = [key for key in keys if key.endswith(ARTIFACT_SUFFIX)]
        return bool(artifacts) and marker_key(bake_id) in keys

    def corpus_key(self, bake_id: str) -> str | None:
        """Where the bake's corpus lies; None where an earlier version of this app kept none."""
        # More than one would be the same bytes under several names: the bake's id has their hash.
        return next(iter(self._keys(corpus_prefix(bake_id))), None)

    def download(self, key: str, file: Path) -> None:
        """One object into a file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._s3.download_file(self.bucket, key, str(file))

    def stored(self) -> dict[str, Stored]:
        """What each bake takes up, by bake id."""
        found: dict[str, Stored] = {}
        for version in self._versions():
            found.setdefault(bake_id_of_key(version["Key"]), Stored()).add(version)
        return found

    def delete(self, versions: list[ObjectIdentifierTypeDef]) -> list[str]:
        """Deletes object versions; returns what could not be, a sentence each."""
        refused = []
        for start in range(0, len(versions), 1000):  # as many as a request may name
            answer = self._s3.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": versions[start : start + 1000], "Quiet": True},
            )
            refused += [f"{e['Key']}: {e['Message']}" for e in answer.get("Errors", [])]
        return refused

    def _keys(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def _versions(self) -> Iterator[Mapping[str, Any]]:
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=BAKES_PREFIX
        )
        for page in pages:
            yield from page.get("Versions", [])
            yield from page.get("DeleteMarkers", [])
