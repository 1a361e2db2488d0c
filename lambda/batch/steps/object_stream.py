"""An S3 object, read by chunks from any place on, however large it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from batch.steps.errors import BatchError

CHUNK_BYTES = 256 * 1024
_ATTEMPTS = 5
_GONE = {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}

_log = logging.getLogger(__name__)


class ObjectStream:
    """One object, and of it one state: never a beginning of one and an end of another.

    Args:
        s3: a boto3 client.
        bucket, key: which object.
        version_id: which version; None where the bucket keeps none.
        etag: of what was read before; None until then.

    Attributes:
        etag: of what is read, once a chunk was.
        size: in bytes, once a chunk was read.
    """

    def __init__(
        self,
        s3: BaseClient,
        bucket: str,
        key: str,
        version_id: str | None = None,
        etag: str | None = None,
    ) -> None:
        self._s3 = s3
        self._request = {"Bucket": bucket, "Key": key}
        if version_id is not None:
            self._request["VersionId"] = version_id
        self.etag = etag
        self.size = 0

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from `offset` on. A connection that breaks is made again where it broke.

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
                    _log.warning("Reading goes on at byte %d: %s", offset, error)
                    break
                if not chunk:
                    return
                failures = 0
                offset += len(chunk)
                yield chunk

    def _open(self, offset: int) -> Any:
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
        self.size = offset + int(response["ContentLength"])
        return response["Body"]

    def _explained(self, error: ClientError) -> BatchError | None:
        """A sentence for what no repetition mends; None for the rest."""
        name = f"s3://{self._request['Bucket']}/{self._request['Key']}"
        if "VersionId" in self._request:
            name += f" (version {self._request['VersionId']})"
        code = error.response["Error"]["Code"]
        if code in _GONE:
            return BatchError(f"The file {name} does not exist, or no longer.")
        if code in ("PreconditionFailed", "412"):
            return BatchError(f"The file {name} was replaced while it was read. Start a new batch.")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        if 400 <= status < 500 and status != 429:
            return BatchError(f"The file {name} cannot be read: {error}")
        return None
