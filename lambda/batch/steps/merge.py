"""Makes one object of all outputs, without reading more of them than it must."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from batch.steps.errors import BatchError
from batch.steps.merge_plan import (
    MAX_OBJECT_BYTES,
    MAX_PARTS,
    Part,
    Range,
    Source,
    is_copy,
    plan_parts,
)
from batch.steps.outputs import Output

_CONTENT_TYPE = "application/jsonlines"


@dataclass(slots=True)
class MergeCursor:
    """How far a merge is.

    Attributes:
        upload_id: of the multipart upload; None until there is one.
        parts: uploaded or copied.
        done: whether the object is there.
    """

    upload_id: str | None = None
    parts: int = 0
    done: bool = False


class Merge:
    """Goes on with a merge from a cursor. A part that is repeated takes its own place.

    Args:
        s3: a boto3 client.
        bucket: of outputs and merged object.
        key: of the merged object.
        outputs: in order.

    Raises:
        BatchError: it would be larger than an object of S3 may be.
    """

    def __init__(self, s3: BaseClient, bucket: str, key: str, outputs: Iterable[Output]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._place = {"Bucket": bucket, "Key": key}
        sources = [self._source(output) for output in outputs]
        self._plan = plan_parts(sources)
        size = sum(source.size for source in sources)
        if size > MAX_OBJECT_BYTES or len(self._plan) > MAX_PARTS:
            raise BatchError(
                f"The outputs are too many for one file ({len(sources):,} with {size:,} bytes;"
                " S3 allows 5 TiB). They are complete by themselves."
            )

    def run(self, cursor: MergeCursor, is_time_up: Callable[[], bool]) -> None:
        """Move the cursor on, by one part at least, to the end or until time is up."""
        try:
            self._run(cursor, is_time_up)
        except ClientError as error:
            # An invocation before this one may have ended the upload and not lived to say so.
            if error.response["Error"]["Code"] != "NoSuchUpload" or not self._is_there():
                raise
            cursor.done = True

    def _run(self, cursor: MergeCursor, is_time_up: Callable[[], bool]) -> None:
        if cursor.upload_id is None:
            created = self._s3.create_multipart_upload(**self._place, ContentType=_CONTENT_TYPE)
            cursor.upload_id = created["UploadId"]
        upload = {**self._place, "UploadId": cursor.upload_id}
        for part in self._plan[cursor.parts :]:
            self._bring(part, {**upload, "PartNumber": cursor.parts + 1})
            cursor.parts += 1
            if is_time_up():
                return
        pages = self._s3.get_paginator("list_parts").paginate(**upload)
        parts = [
            {"PartNumber": part["PartNumber"], "ETag": part["ETag"]}
            for page in pages
            for part in page.get("Parts", [])
        ]
        self._s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        cursor.done = True

    def _bring(self, part: Part, target: Mapping[str, Any]) -> None:
        if is_copy(part):
            [source] = part
            self._s3.upload_part_copy(**target, **self._copied(source))  # type: ignore[arg-type]
        else:
            body = b"".join(self._read(p) if isinstance(p, Range) else p for p in part)
            self._s3.upload_part(**target, Body=body)

    def _copied(self, source: Range) -> dict[str, Any]:
        copied: dict[str, Any] = {"CopySource": {"Bucket": self._bucket, "Key": source.key}}
        if not source.is_whole:
            copied["CopySourceRange"] = f"bytes={source.start}-{source.end - 1}"
        return copied

    def _read(self, source: Range) -> bytes:
        response = self._s3.get_object(
            Bucket=self._bucket, Key=source.key, Range=f"bytes={source.start}-{source.end - 1}"
        )
        data: bytes = response["Body"].read()
        return data

    def _source(self, output: Output) -> Source:
        ends_line = True
        if output.size:
            last = Range(output.key, output.size - 1, output.size, is_whole=output.size == 1)
            ends_line = self._read(last) == b"\n"
        return Source(output.key, output.size, ends_line)

    def _is_there(self) -> bool:
        try:
            self._s3.head_object(**self._place)
        except ClientError:
            return False
        return True
