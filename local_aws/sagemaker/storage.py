"""S3 as SageMaker uses it: objects below a prefix, downloads, uploads and streamed uploads."""

from __future__ import annotations

import contextlib
import queue
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

# In parts, so that no file is ever in memory; one at a time, to leave the cores to the jobs.
_PART = 16 * 1024 * 1024
_IN_PARTS = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, use_threads=False)
_QUEUED = 4  # answers of at most a few megabytes each
_RETRY_SECONDS = 0.5
_URI = re.compile(r"s3://(?P<bucket>[^/]+)/?(?P<key>.*)", re.DOTALL)


@dataclass(frozen=True)
class Location:
    """Bucket and key, or key prefix."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Parses "s3://bucket/key".

        Raises:
            ValueError: For any other scheme.
        """
        match = _URI.fullmatch(uri)
        if match is None:
            raise ValueError(f"not an S3 address: {uri}")
        return cls(match["bucket"], match["key"])

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def find_objects(s3: Any, prefix: Location) -> Iterator[tuple[str, str]]:
    """(key, ETag) of all objects below a prefix, except folder markers.

    Nothing if the bucket does not exist.
    """
    pages = s3.get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=prefix.bucket, Prefix=prefix.key):
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):
                    yield item["Key"], item["ETag"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise


def relative_name(key: str, prefix: str) -> str:
    """The file name that SageMaker gives an object below a prefix."""
    if key == prefix:
        return PurePosixPath(key).name
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def download(s3: Any, location: Location, path: Path) -> None:
    """One object to one file, whose folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(location.bucket, location.key, str(path), Config=_IN_PARTS)


def upload(s3: Any, path: Path, location: Location, key_id: str | None) -> None:
    """One file to one object, encrypted with a KMS key if there is one."""
    options = {"ExtraArgs": _encryption(key_id), "Config": _IN_PARTS}
    s3.upload_file(str(path), location.bucket, location.key, **options)


def _encryption(key_id: str | None) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id} if key_id else {}


class Upload:
    """An object that is uploaded in parts while its content is produced.

    It exists once the future of `finish` is done, and never if `finish` is not called.

    Args:
        pool: Uploads in one of its threads.
    """

    def __init__(
        self, pool: ThreadPoolExecutor, s3: Any, location: Location, key_id: str | None
    ) -> None:
        self._given: queue.Queue[bytes | None] = queue.Queue(_QUEUED)
        self._ended = self._discarded = False
        self._buffer = bytearray()
        self._uploading = pool.submit(
            s3.upload_fileobj,
            self,
            location.bucket,
            location.key,
            ExtraArgs=_encryption(key_id),
            Config=_IN_PARTS,
        )

    def write(self, content: bytes) -> None:
        """Waits while too much is queued; `finish` reports errors."""
        self._give(content)

    def finish(self) -> Future[None]:
        """Ends the content; the future is done once the object exists or has failed."""
        self._give(None)
        return self._uploading

    def discard(self) -> None:
        """Abandons the object with all its parts."""
        self._discarded = True
        self._give(None)
        wait([self._uploading])

    def read(self, size: int | None = None) -> bytes:
        """For S3's client: the next bytes, fewer than `size` only at the end; None for all."""
        while not self._ended and (size is None or len(self._buffer) < size):
            content = self._given.get()
            if self._discarded:
                raise InterruptedError("the upload was discarded")
            self._ended = content is None
            self._buffer += content or b""
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _give(self, content: bytes | None) -> None:
        while not self._uploading.done():
            with contextlib.suppress(queue.Full):
                self._given.put(content, timeout=_RETRY_SECONDS)
                return
