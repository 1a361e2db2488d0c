"""Writes an S3 object piece by piece, holding no more than one part of it."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 * 1024 * 1024
_CONTENT_TYPE = "application/jsonlines"


class ObjectWriter:
    """A context manager: the object appears whole when the block ends, or not at all.

    If nothing was written there is no object.
    """

    def __init__(self, s3: S3Client, bucket: str, key: str) -> None:
        self._s3 = s3
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._upload: dict[str, Any] = {}
        self._parts: list[CompletedPartTypeDef] = []

    def write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= PART_BYTES:
            self._upload_part()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._abort()
            return
        try:
            self._finish()
        except Exception:
            self._abort()
            raise

    def _finish(self) -> None:
        if not self._upload:
            if self._buffer:
                self._s3.put_object(
                    **self._place, Body=bytes(self._buffer), ContentType=_CONTENT_TYPE
                )
            return
        if self._buffer:
            self._upload_part()
        self._s3.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": self._parts})

    def _abort(self) -> None:
        if self._upload:
            # The earlier error is the one to report. Parts that stay expire.
            with contextlib.suppress(ClientError, BotoCoreError):
                self._s3.abort_multipart_upload(**self._upload)

    def _upload_part(self) -> None:
        if not self._upload:
            created = self._s3.create_multipart_upload(**self._place, ContentType=_CONTENT_TYPE)
            self._upload = {**self._place, "UploadId": created["UploadId"]}
        number = len(self._parts) + 1
        part = self._s3.upload_part(**self._upload, PartNumber=number, Body=bytes(self._buffer))
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._buffer.clear()
