"""Merges all outputs into one object, reading no more of them than it must."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from batch.steps.errors import BatchError
from batch.steps.merge_plan import (
    MAX_OBJECT_BYTES,
    MAX_PARTS,
    Part,
    Range,
    Source,
    copied_range,
    plan_parts,
)
from batch.steps.outputs import Output

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CONTENT_TYPE = "application/jsonlines"


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
            created = self._s3.create_multipart_upload(**self._place, ContentType=_CONTENT_TYPE)
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
