"""S3 as SageMaker uses it: a prefix into a folder, one object as a stream, one file back."""

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

# In parts, so that no file is ever in memory; one after another, since two cores do the rest.
_PART = 16 * 1024 * 1024
_IN_PARTS = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, use_threads=False)
# Answers of at most a few megabytes each; seconds.
_GIVEN_AHEAD = 4
_LOOK_AGAIN = 0.5
_URI = re.compile(r"s3://(?P<bucket>[^/]+)/?(?P<key>.*)", re.DOTALL)


@dataclass(frozen=True)
class Location:
    """Bucket and key, or key prefix."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Takes "s3://bucket/key" apart.

        Raises:
            ValueError: For any other scheme.
        """
        match = _URI.fullmatch(uri)
        if match is None:
            raise ValueError(f"not an S3 address: {uri}")
        return cls(match["bucket"], match["key"])


def find_objects(s3: Any, prefix: Location) -> Iterator[tuple[str, str]]:
    """(key, ETag) of every object whose key starts with the prefix, but for folder markers.

    Nothing where the bucket does not exist.
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
    """File name that SageMaker gives an object it found below a prefix."""
    if key == prefix:
        return PurePosixPath(key).name
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def download(s3: Any, location: Location, path: Path) -> None:
    """One object to one file; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(location.bucket, location.key, str(path), Config=_IN_PARTS)


def upload(s3: Any, path: Path, location: Location, key_id: str | None) -> None:
    """One file to one object, under a KMS key if there is one."""
    options = {"ExtraArgs": _encryption(key_id), "Config": _IN_PARTS}
    s3.upload_file(str(path), location.bucket, location.key, **options)


def _encryption(key_id: str | None) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id} if key_id else {}


class Upload:
    """An object that is uploaded while its content comes about, part by part.

    It is there when `finish` has returned, and never if that is not called.

    Args:
        pool: Uploads in one of its threads.
        s3: Client of S3.
        location: Of the object.
        key_id: A KMS key, None for none.
    """

    def __init__(
        self, pool: ThreadPoolExecutor, s3: Any, location: Location, key_id: str | None
    ) -> None:
        self._given: queue.Queue[bytes | None] = queue.Queue(_GIVEN_AHEAD)
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
        """Waits while too much is not uploaded yet; what went wrong is for `finish` to say."""
        self._give(content)

    def finish(self) -> Future[None]:
        """No more follows; when the object is there, or why it is not, is for the caller to ask."""
        self._give(None)
        return self._uploading

    def discard(self) -> None:
        """Leaves no object, and none of its parts."""
        self._discarded = True
        self._give(None)
        wait([self._uploading])

    def read(self, size: int | None = None) -> bytes:
        """For S3's client: the next bytes, fewer than `size` at the end only; None for all."""
        while not self._ended and (size is None or len(self._buffer) < size):
            content = self._given.get()
            if self._discarded:
                raise InterruptedError("the object is not wanted any more")
            self._ended = content is None
            self._buffer += content or b""
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _give(self, content: bytes | None) -> None:
        while not self._uploading.done():
            with contextlib.suppress(queue.Full):
                self._given.put(content, timeout=_LOOK_AGAIN)
                return
