"""What is kept of an index in the artifacts bucket: what is wanted, how far it is, its marker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch.execution import read_json
from contract.index_objects import (
    WANTED_KEY,
    index_marker_key,
    load_key,
    part_of_key,
    parts_prefix,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Part:
    """Some entries that are in the index: one output of the batch.

    Attributes:
        key: of the object that says so.
        entries, vectors: how many.
    """

    number: int
    entries: int
    vectors: int
    key: str


class Loads:
    """The indexes' objects in one bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self.bucket = bucket

    def wanted(self) -> dict[str, Any] | None:
        """The index that the settings ask for, as the state machine gets it."""
        return read_json(self._s3, self.bucket, WANTED_KEY)

    def want(self, index: Mapping[str, Any] | None) -> None:
        """Says which index is to be switched to; None: none any more."""
        self._put(WANTED_KEY, index or {})

    def is_wanted(self, index_id: str) -> bool:
        """Whether a later deployment has not asked for another index."""
        return (self.wanted() or {}).get("index_id") == index_id

    def marker(self, index_id: str) -> dict[str, Any] | None:
        """What describes an index that is complete."""
        return read_json(self._s3, self.bucket, index_marker_key(index_id))

    def mark(self, index_id: str, marker: Mapping[str, Any]) -> None:
        """Says that an index is complete."""
        self._put(index_marker_key(index_id), marker)

    def progress(self, index_id: str) -> dict[str, Any]:
        """How far an index is; see contract.index_objects.load_key. Empty at first."""
        return read_json(self._s3, self.bucket, load_key(index_id)) or {}

    def note(self, index_id: str, **changes: Any) -> dict[str, Any]:
        """Changes members of the progress, and returns all of it."""
        progress = {**self.progress(index_id), **changes}
        self._put(load_key(index_id), progress)
        return progress

    def parts(self, index_id: str) -> list[Part]:
        """The outputs of the batch that are in the index, in order."""
        run = self.progress(index_id)["run"]
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=parts_prefix(index_id, run)
        )
        found = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return sorted((Part(*part_of_key(key), key) for key in found), key=lambda p: p.number)

    def add_part(self, part: Part, sample: Mapping[str, Any] | None) -> None:
        """Notes that an output is in the index.

        Args:
            sample: one of its vectors, as PutVectors got it, for the probes.
        """
        self._put(part.key, sample or {})

    def sample(self, part: Part) -> dict[str, Any]:
        """The vector that was kept of a part."""
        return read_json(self._s3, self.bucket, part.key) or {}

    def _put(self, key: str, value: Mapping[str, Any]) -> None:
        self._s3.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=json.dumps(value, ensure_ascii=False).encode(),
            ContentType="application/json",
        )
