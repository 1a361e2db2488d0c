"""An S3 object of any size, read in chunks from any offset."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from batch.steps.errors import BatchError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client

CHUNK_BYTES = 256 * 1024
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
