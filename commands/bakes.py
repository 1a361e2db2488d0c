"""The bakes, and the indexes of S3 Vectors, in the artifacts bucket: markers and corpora."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contract.bake_objects import (
    ARTIFACT_SUFFIX,
    BAKES_PREFIX,
    bake_prefix,
    corpus_prefix,
    marker_key,
)
from contract.index_objects import (
    INDEXES_PREFIX,
    WANTED_KEY,
    index_corpus_prefix,
    index_marker_key,
    index_prefix,
    load_key,
    part_of_key,
    parts_prefix,
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

    _everything = BAKES_PREFIX
    _prefix: Callable[[str], str] = staticmethod(bake_prefix)
    _marker_key: Callable[[str], str] = staticmethod(marker_key)
    _corpus_prefix: Callable[[str], str] = staticmethod(corpus_prefix)

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self.bucket = bucket

    def ids(self) -> list[str]:
        """Of every bake that has left anything."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._everything, Delimiter="/"
        )
        return [
            self._id_of_key(prefix["Prefix"])
            for page in pages
            for prefix in page.get("CommonPrefixes", [])
        ]

    def marker(self, bake_id: str) -> dict[str, Any] | None:
        """What the bake's marker says; None where the bake did not finish or was pruned."""
        try:
            answer = self._s3.get_object(Bucket=self.bucket, Key=self._marker_key(bake_id))
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
        keys = self._keys(self._prefix(bake_id))
        artifacts = [key for key in keys if key.endswith(ARTIFACT_SUFFIX)]
        return bool(artifacts) and marker_key(bake_id) in keys

    def corpus_key(self, bake_id: str) -> str | None:
        """Where the bake's corpus lies; None where an earlier version of this app kept none."""
        # More than one would be the same bytes under several names: the bake's id has their hash.
        return next(iter(self._keys(self._corpus_prefix(bake_id))), None)

    def download(self, key: str, file: Path) -> None:
        """One object into a file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._s3.download_file(self.bucket, key, str(file))

    def stored(self) -> dict[str, Stored]:
        """What each bake takes up, by bake id."""
        found: dict[str, Stored] = {}
        for version in self._versions():
            if version["Key"].removeprefix(self._everything).count("/"):
                found.setdefault(self._id_of_key(version["Key"]), Stored()).add(version)
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

    @classmethod
    def _id_of_key(cls, key: str) -> str:
        """The bake that an object or a prefix belongs to."""
        return key.removeprefix(cls._everything).partition("/")[0]

    def _keys(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def _versions(self) -> Iterator[Mapping[str, Any]]:
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=self._everything
        )
        for page in pages:
            yield from page.get("Versions", [])
            yield from page.get("DeleteMarkers", [])


@dataclass(frozen=True)
class Load:
    """How far the loading of an index is.

    wanted: the input of the state machine. progress: see contract.index_objects.load_key.
    parts, entries: of the batch's output that are in the index. is_complete: whether it is loaded.
    """

    wanted: Mapping[str, Any]
    progress: Mapping[str, Any]
    parts: int
    entries: int
    is_complete: bool

    @property
    def index_id(self) -> str:
        return str(self.wanted["index_id"])

    def __str__(self) -> str:
        """In a sentence without an end."""
        if self.is_complete:
            return "complete"
        if error := self.progress.get("error"):
            return f"not loaded: {error} `make deploy` goes on where it stopped"
        expected = self.progress.get("parts")
        if expected is None:
            return "its corpus is being encoded by batch transform"
        entries = f"{self.entries:,} of {self.progress['entries']:,} entries"
        return f"being loaded: {entries}, {self.parts} of {expected} parts"


class Indexes(Bakes):
    """The indexes of S3 Vectors, of which the bucket holds the corpora and the markers.

    Args:
        vectors: a client of S3 Vectors.
        vector_bucket: holds the indexes themselves.
    """

    _everything = INDEXES_PREFIX
    _prefix = staticmethod(index_prefix)
    _marker_key = staticmethod(index_marker_key)
    _corpus_prefix = staticmethod(index_corpus_prefix)

    def __init__(self, s3: S3Client, bucket: str, vectors: Any, vector_bucket: str) -> None:
        super().__init__(s3, bucket)
        self._vectors = vectors
        self._vector_bucket = vector_bucket
        self._bakes = Bakes(s3, bucket)

    def marker(self, bake_id: str) -> dict[str, Any] | None:
        """What the index's marker says, and its artifact's of the model; `bake_id` is an index's.

        None where the index is not complete or was pruned.
        """
        marker = super().marker(bake_id)
        if marker is None:
            return None
        artifact = self._bakes.marker(marker["bake_id"]) or {}
        return {n: artifact[n] for n in ("model_id", "model_version") if n in artifact} | marker

    def has_artifact(self, marker: dict[str, Any]) -> bool:
        """Whether the vectors that a marker names are there, and the artifact that made them."""
        artifact = self._bakes.marker(marker["bake_id"])
        return (
            artifact is not None
            and self._bakes.has_artifact(artifact)
            and self._exists(marker["index_id"])
        )

    def has_finished(self, bake_id: str) -> bool:
        """Whether the index has a marker; `bake_id` is the index's."""
        return index_marker_key(bake_id) in self._keys(index_prefix(bake_id))

    def delete_index(self, index_id: str, stored: Stored) -> None:
        """Deletes the vectors; first the marker, by which the index would count as complete."""
        marker = index_marker_key(index_id)
        self.delete([version for version in stored.versions if version["Key"] == marker])
        if self._exists(index_id):
            self._vectors.delete_index(vectorBucketName=self._vector_bucket, indexName=index_id)

    def load(self) -> Load | None:
        """How far the index is that was asked for last; None where none was."""
        wanted = self._json(WANTED_KEY)
        if not wanted:
            return None
        index_id = wanted["index_id"]
        progress = self._json(load_key(index_id))
        parts = [
            part_of_key(key)
            for key in (
                self._keys(parts_prefix(index_id, progress["run"])) if progress.get("run") else ()
            )
        ]
        return Load(
            wanted,
            progress,
            parts=len(parts),
            entries=sum(entries for _, entries, _ in parts),
            is_complete=super().marker(index_id) is not None,
        )

    def _exists(self, index_id: str) -> bool:
        try:
            self._vectors.get_index(vectorBucketName=self._vector_bucket, indexName=index_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NotFoundException":
                raise
            return False
        return True

    def _json(self, key: str) -> dict[str, Any]:
        """A JSON object; empty where there is none."""
        try:
            found: dict[str, Any] = json.loads(
                self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ABSENT:
                raise
            return {}
        return found
