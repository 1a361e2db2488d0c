"""Files to and from S3 by signed URLs, streamed: no file is ever held in memory."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from faq_search.errors import FaqSearchError

# bytes so far, of how many
OnBytes = Callable[[int, int], None]

MAX_UPLOAD_BYTES: Final = 5 * 1024**3
"""The most that S3 accepts in one request."""

_BLOCK_BYTES: Final = 1024 * 1024
_TIMEOUT_SECONDS: Final = 60.0
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 1.0
_S3_ERROR: Final = re.compile(rb"<Code>([^<]+)</Code>(?:\s*<Message>([^<]+)</Message>)?")


def upload(url: str, headers: Mapping[str, str], file: Path, on_bytes: OnBytes) -> None:
    """Puts a file at a signed URL. Raises FaqSearchError (upload_failed) after three tries."""
    size = file.stat().st_size
    for further in range(_TRIES - 1, -1, -1):
        with file.open("rb") as content:
            body = _Counted(content, size, on_bytes)
            try:
                status, answer = _put(url, {**headers, "Content-Length": str(size)}, body)
            except (OSError, HTTPException) as error:
                status, answer = None, str(error).encode()
        if status is not None and status < 300:
            return
        if not further or (status is not None and status < 500):
            raise FaqSearchError("upload_failed", f"{file}: {_reason(status, answer)}", status)
        time.sleep(_PAUSE_SECONDS)


def download(url: str, to: BinaryIO, on_bytes: OnBytes) -> None:
    """Appends what is at a signed URL to a file, and resumes where a connection breaks.

    Raises FaqSearchError (download_failed) after three tries in a row without a byte.
    """
    start, tries = to.tell(), 0
    while True:
        begin, status, answer = to.tell(), None, b""
        try:
            status, answer = _get(url, begin - start, to, on_bytes)
        except (OSError, HTTPException) as error:
            answer = str(error).encode()
        if status is not None and status < 300:
            return
        tries = 0 if to.tell() > begin else tries + 1
        if tries >= _TRIES or (status is not None and status < 500):
            raise FaqSearchError("download_failed", _reason(status, answer), status)
        time.sleep(_PAUSE_SECONDS)


class _Counted:
    """A file that reports how far it was read."""

    def __init__(self, content: BinaryIO, size: int, on_bytes: OnBytes) -> None:
        self._content = content
        self._size = size
        self._on_bytes = on_bytes
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        block = self._content.read(size)
        self._read += len(block)
        self._on_bytes(self._read, self._size)
        return block


def _put(url: str, headers: Mapping[str, str], body: _Counted) -> tuple[int, bytes]:
    connection, target = _connect(url)
    try:
        # S3 stops reading when it refuses; its reason may already have arrived.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request("PUT", target, body=body, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _get(url: str, begin: int, to: BinaryIO, on_bytes: OnBytes) -> tuple[int, bytes]:
    connection, target = _connect(url)
    try:
        connection.request("GET", target, headers={"Range": f"bytes={begin}-"} if begin else {})
        response = connection.getresponse()
        if response.status != (206 if begin else 200):  # the whole file instead of its rest
            return max(response.status, 300), response.read()
        _copy(response, begin, to, on_bytes)
        return response.status, b""
    finally:
        connection.close()


def _copy(response: HTTPResponse, begin: int, to: BinaryIO, on_bytes: OnBytes) -> None:
    have = begin
    whole = begin + int(response.headers["Content-Length"])
    while block := response.read(_BLOCK_BYTES):
        to.write(block)
        have += len(block)
        on_bytes(have, whole)
    if have < whole:  # http.client does not notice when read in blocks
        raise ConnectionError("the connection was lost")


def _connect(url: str) -> tuple[HTTPConnection, str]:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(
        str(parts.hostname), parts.port, timeout=_TIMEOUT_SECONDS, blocksize=_BLOCK_BYTES
    )
    return connection, f"{parts.path}?{parts.query}"


def _reason(status: int | None, answer: bytes) -> str:
    if status is None:
        return (
            f"S3 did not answer ({answer.decode(errors='replace') or 'it closed the connection'})."
        )
    said = _S3_ERROR.search(answer)
    if said is None:
        return f"S3 refused (HTTP {status})."
    return f"S3 refused: {(said[2] or said[1]).decode(errors='replace').rstrip('.')}."
