"""Merges all outputs into one object, reading no more of them than it must.

S3 copies the parts of a multipart upload by itself, but only the last may be smaller than 5 MiB. So
large outputs are copied, and what is too small for that is joined in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from batch.steps import BatchError
from batch.steps.objects import JSON_LINES, Output

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_COPY_BYTES = 512 * 1024 * 1024
MAX_PARTS = 10_000
MAX_OBJECT_BYTES = 5 * 1024**4


@dataclass(slots=True)
class MergeCursor:
    """How far a merge is.

    Attributes:
        upload_id: of the multipart upload; None until there is one.
        parts: how many were uploaded or copied.
        done: whether the merged object exists.
    """

    upload_id: str | None = None
    parts: int = 0
    done: bool = False


class Merge:
    """Goes on with a merge from a cursor. Repeating a part replaces it with itself.

    Args:
        bucket: of the outputs and the merged object.
        key: of the merged object.
        outputs: in order.

    Raises:
        BatchError: the merged object would be larger than S3 allows.
    """

    def __init__(self, s3: S3Client, bucket: str, key: str, outputs: Iterable[Output]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        sources = [self._source(output) for output in outputs]
        self._plan = plan_parts(sources)
        size = sum(source.size for source in sources)
        if size > MAX_OBJECT_BYTES or len(self._plan) > MAX_PARTS:
            raise BatchError(
                f"The outputs are too large for one file ({len(sources):,} with {size:,} bytes;"
                " S3 allows 5 TiB). They are complete as they are."
            )

    def run(self, cursor: MergeCursor, is_time_up: Callable[[], bool]) -> None:
        """Moves the cursor on, by at least one part, to the end or until time is up."""
        try:
            self._run(cursor, is_time_up)
        except ClientError as error:
            # An earlier invocation may have completed the upload and died before it said so.
            if error.response["Error"]["Code"] != "NoSuchUpload" or not self._exists():
                raise
            cursor.done = True

    def _run(self, cursor: MergeCursor, is_time_up: Callable[[], bool]) -> None:
        if cursor.upload_id is None:
            created = self._s3.create_multipart_upload(**self._place, ContentType=JSON_LINES)
            cursor.upload_id = created["UploadId"]
        upload = {**self._place, "UploadId": cursor.upload_id}
        for part in self._plan[cursor.parts :]:
            self._add(part, {**upload, "PartNumber": cursor.parts + 1})
            cursor.parts += 1
            if is_time_up():
                return
        pages = self._s3.get_paginator("list_parts").paginate(**upload)
        self._s3.complete_multipart_upload(
            **upload,
            MultipartUpload={
                "Parts": [
                    {"PartNumber": part["PartNumber"], "ETag": part["ETag"]}
                    for page in pages
                    for part in page.get("Parts", [])
                ]
            },
        )
        cursor.done = True

    def _add(self, part: Part, target: dict[str, Any]) -> None:
        if source := copied_range(part):
            if not source.is_whole:
                target["CopySourceRange"] = source.header
            self._s3.upload_part_copy(
                **target, CopySource={"Bucket": self._bucket, "Key": source.key}
            )
        else:
            body = b"".join(self._read(p) if isinstance(p, Range) else p for p in part)
            self._s3.upload_part(**target, Body=body)

    def _read(self, source: Range) -> bytes:
        response = self._s3.get_object(Bucket=self._bucket, Key=source.key, Range=source.header)
        return response["Body"].read()

    def _source(self, output: Output) -> Source:
        ends_line = True
        if output.size:
            last = Range(output.key, output.size - 1, output.size, is_whole=output.size == 1)
            ends_line = self._read(last) == b"\n"
        return Source(output.key, output.size, ends_line)

    def _exists(self) -> bool:
        try:
            self._s3.head_object(**self._place)
        except ClientError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Source:
    """An output to be merged; `ends_line` says whether its last byte is a line feed."""

    key: str
    size: int
    ends_line: bool


@dataclass(frozen=True, slots=True)
class Range:
    """The bytes of an object from `start` up to, but not including, `end`."""

    key: str
    start: int
    end: int
    is_whole: bool

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def header(self) -> str:
        """As S3 takes it."""
        return f"bytes={self.start}-{self.end - 1}"


Part = tuple[Range | bytes, ...]
"""Bytes stand for themselves: the line feed that a source lacks."""


def plan_parts(sources: Iterable[Source]) -> list[Part]:
    """The parts that together are all sources, one line after another.

    Each part is a range of 5 MiB to 512 MiB, to be copied; or several pieces of at most 5 MiB
    together, to be read; or the last, which may be smaller.
    """
    parts: list[Part] = []
    small: list[Range | bytes] = []
    room = MIN_PART_BYTES
    for source in sources:
        start = min(room, source.size) if small else 0
        if start:
            small.append(_range(source, 0, start))
            room -= start
        if not room:
            parts.append(tuple(small))
            small, room = [], MIN_PART_BYTES
        rest = source.size - start
        if rest >= MIN_PART_BYTES:
            parts.extend((each,) for each in _cut(source, start))
        elif rest:
            small.append(_range(source, start, source.size))
            room -= rest
        if not source.ends_line:
            # This may take the last of the room; the next source then adds nothing to it.
            small.append(b"\n")
            room -= 1
    if small:
        parts.append(tuple(small))
    return parts


def copied_range(part: Part) -> Range | None:
    """The range that S3 can copy by itself, if the part is one."""
    [first, *others] = part
    if isinstance(first, Range) and not others and first.size >= MIN_PART_BYTES:
        return first
    return None


def _cut(source: Source, start: int) -> Iterable[Range]:
    """The rest of a source as equal ranges."""
    rest = source.size - start
    count = -(-rest // MAX_COPY_BYTES)
    edges = [start + rest * number // count for number in range(count + 1)]
    return (_range(source, *edge) for edge in itertools.pairwise(edges))


def _range(source: Source, start: int, end: int) -> Range:
    return Range(source.key, start, end, is_whole=(start, end) == (0, source.size))
