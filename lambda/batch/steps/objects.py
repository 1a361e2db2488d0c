"""S3 objects as the steps use them: read in chunks, written in parts, listed by shard."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from batch.steps import BatchError
from contract.batch_objects import output_prefix, shard_of_output

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

JSON_LINES = "application/jsonlines"
CHUNK_BYTES = 256 * 1024
PART_BYTES = 8 * 1024 * 1024
_ATTEMPTS = 5
_GONE = {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}

logger = logging.getLogger(__name__)


class ObjectStream:
    """One state of one object: never the beginning of one and the end of another.

    Args:
        version_id: None if the bucket keeps no versions.
        etag: of what was read before; None at first.

    Attributes:
        etag, size: of the object, once a chunk was read.
    """

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        key: str,
        version_id: str | None = None,
        etag: str | None = None,
    ) -> None:
        self._s3 = s3
        self._request: dict[str, Any] = {"Bucket": bucket, "Key": key}
        if version_id is not None:
            self._request["VersionId"] = version_id
        self.etag = etag
        self.size = 0

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from `offset` on. A connection that breaks is resumed where it broke.

        `offset` is less than the object's size, or 0.

        Raises:
            BatchError: the object is gone, was replaced, or may not be read.
        """
        failures = 0
        while True:
            body = self._open(offset)
            while True:
                try:
                    chunk = body.read(CHUNK_BYTES)
                except BotoCoreError as error:
                    failures += 1
                    if failures == _ATTEMPTS:
                        raise
                    logger.warning("Resuming at byte %d after: %s", offset, error)
                    break
                if not chunk:
                    return
                failures = 0
                offset += len(chunk)
                yield chunk

    def _open(self, offset: int) -> StreamingBody:
        request = dict(self._request)
        if offset:
            request["Range"] = f"bytes={offset}-"
        if self.etag is not None:
            request["IfMatch"] = self.etag
        try:
            response = self._s3.get_object(**request)
        except ClientError as error:
            raise self._explained(error) or error from error
        self.etag = response["ETag"]
        self.size = offset + response["ContentLength"]
        return response["Body"]

    def _explained(self, error: ClientError) -> BatchError | None:
        """What no repetition would help with, in words; None for the rest."""
        name = f"s3://{self._request['Bucket']}/{self._request['Key']}"
        if "VersionId" in self._request:
            name += f" (version {self._request['VersionId']})"
        code = error.response["Error"]["Code"]
        if code in _GONE:
            return BatchError(f"The file {name} does not exist, or no longer does.")
        if code in ("PreconditionFailed", "412"):
            return BatchError(f"The file {name} was replaced while being read. Start a new batch.")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        if 400 <= status < 500 and status != 429:
            return BatchError(f"The file {name} cannot be read: {error}")
        return None


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
                self._s3.put_object(**self._place, Body=bytes(self._buffer), ContentType=JSON_LINES)
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
            created = self._s3.create_multipart_upload(**self._place, ContentType=JSON_LINES)
            self._upload = {**self._place, "UploadId": created["UploadId"]}
        number = len(self._parts) + 1
        part = self._s3.upload_part(**self._upload, PartNumber=number, Body=bytes(self._buffer))
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._buffer.clear()


@dataclass(frozen=True, slots=True)
class Output:
    """The answers to one shard: an object in the batch bucket, and its bytes."""

    key: str
    size: int


def list_outputs(s3: S3Client, bucket: str, batch_id: str) -> dict[int, Output]:
    """The answers that exist, by number of the shard, in the order of the input.

    They are recognized by the ends of their names, since descriptions of transform jobs differ on
    whether the output path repeats the folder of the input.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=output_prefix(batch_id)
    )
    found = {}
    for page in pages:
        for item in page.get("Contents", []):
            number = shard_of_output(item["Key"])
            if number is not None:
                found[number] = Output(item["Key"], item["Size"])
    return dict(sorted(found.items()))
