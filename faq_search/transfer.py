"""Files to and from S3 by signed URLs, streamed: no file is ever held in memory."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from faq_search.errors import FaqSearchError

# bytes so far, of how many
OnBytes = Callable[[int, int], None]

_Outcome = httpx.Response | httpx.TransportError

MAX_UPLOAD_BYTES: Final = 5 * 1024**3
"""The most that S3 accepts in one request."""

_BLOCK_BYTES: Final = 1024 * 1024
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 1.0
_URLS_FRESH_SECONDS: Final = 1800.0  # they last for an hour
_S3_ERROR: Final = re.compile(r"<Code>([^<]+)</Code>(?:\s*<Message>([^<]+)</Message>)?")


def upload(
    client: httpx.Client,
    url: str,
    headers: Mapping[str, str],
    file: Path,
    on_bytes: OnBytes | None = None,
) -> None:
    """Puts a file at a signed URL. Raises FaqSearchError (upload_failed) after three tries."""
    size = file.stat().st_size
    for further in range(_TRIES - 1, -1, -1):
        with file.open("rb") as content:
            blocks = _counted(iter(lambda: content.read(_BLOCK_BYTES), b""), 0, size, on_bytes)
            outcome: _Outcome
            try:
                outcome = client.put(
                    url, content=blocks, headers={**headers, "Content-Length": str(size)}
                )
            except httpx.TransportError as error:
                outcome = error
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return
        if not further or _is_final(outcome):
            raise _refused("upload_failed", outcome, f"{file}: ")
        time.sleep(_PAUSE_SECONDS)


def download(client: httpx.Client, url: str, to: BinaryIO, on_bytes: OnBytes | None = None) -> None:
    """Appends what is at a signed URL to a file, and resumes where a connection breaks.

    Raises FaqSearchError (download_failed) after three tries in a row without a byte.
    """
    start, tries = to.tell(), 0
    while True:
        begin = to.tell()
        outcome: _Outcome
        try:
            outcome = _get(client, url, begin - start, to, on_bytes)
        except httpx.TransportError as error:
            outcome = error
        if isinstance(outcome, httpx.Response) and _is_rest(outcome, begin - start):
            return
        tries = 0 if to.tell() > begin else tries + 1
        if tries >= _TRIES or _is_final(outcome):
            raise _refused("download_failed", outcome)
        time.sleep(_PAUSE_SECONDS)


def fetch(
    client: httpx.Client,
    parts: Sequence[str],
    to: Path,
    find_urls: Callable[[], Mapping[str, str]],
    on_bytes: OnBytes | None = None,
) -> Path:
    """Downloads S3 objects into one file, in order; it appears once it is complete.

    Args:
        find_urls: signed URLs by S3 URI. Called again before they expire.
    """
    part_file = to.with_name(f"{to.name}.part")
    urls, asked_at = dict[str, str](), 0.0
    with part_file.open("w+b") as file:
        for part in parts:
            if not urls or time.monotonic() - asked_at > _URLS_FRESH_SECONDS:
                urls, asked_at = dict(find_urls()), time.monotonic()
            if part not in urls:
                raise FaqSearchError(
                    "too_many_files",
                    f"The results are {len(parts)} files, more than the API gives URLs for."
                    " Ask for them merged, or fetch them with `aws s3 cp`.",
                )
            download(client, urls[part], file, on_bytes)
            _end_line(file)
    part_file.replace(to)
    return to


def _end_line(file: BinaryIO) -> None:
    """Ends the last line, so that what follows starts a new one."""
    if file.tell():
        file.seek(-1, SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _get(
    client: httpx.Client, url: str, begin: int, to: BinaryIO, on_bytes: OnBytes | None
) -> httpx.Response:
    headers = {"Range": f"bytes={begin}-"} if begin else {}
    with client.stream("GET", url, headers=headers) as response:
        if not _is_rest(response, begin):
            response.read()
            return response
        whole = begin + int(response.headers["Content-Length"])
        for block in _counted(response.iter_raw(), begin, whole, on_bytes):
            to.write(block)
    return response


def _is_rest(response: httpx.Response, begin: int) -> bool:
    """Whether it is what was asked for, and not the whole file again."""
    return response.status_code == (206 if begin else 200)


def _counted(
    blocks: Iterator[bytes], so_far: int, of: int, on_bytes: OnBytes | None
) -> Iterator[bytes]:
    for block in blocks:
        yield block
        so_far += len(block)
        if on_bytes:
            on_bytes(so_far, of)


def _is_final(outcome: _Outcome) -> bool:
    """Whether it is an answer that S3 would give again."""
    return isinstance(outcome, httpx.Response) and outcome.status_code < 500


def _refused(code: str, outcome: _Outcome, before: str = "") -> FaqSearchError:
    if isinstance(outcome, httpx.TransportError):
        reason = f"{outcome}" or type(outcome).__name__
        return FaqSearchError(code, f"{before}S3 did not answer ({reason}).")
    said = _S3_ERROR.search(outcome.text)
    reason = f": {(said[2] or said[1]).rstrip('.')}" if said else f" (HTTP {outcome.status_code})"
    return FaqSearchError(code, f"{before}S3 refused{reason}.", outcome.status_code)
