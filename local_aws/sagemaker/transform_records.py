"""Splits a transform job's input file into request bodies, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


class PayloadTooLargeError(Exception):
    """A record, or a file that is not split, is larger than MaxPayloadInMB."""

    def __init__(self) -> None:
        super().__init__("Too much data for max payload size")


def split(path: Path, *, by_line: bool, many: bool, limit: int) -> Iterator[bytes]:
    """The bodies, in the file's order.

    Args:
        by_line: SplitType Line; if not, the file is one body.
        many: BatchStrategy MultiRecord: as many lines as fit make one body. With SingleRecord
            each line is a body, without its newline.
        limit: MaxPayloadInMB in bytes.

    Raises:
        PayloadTooLargeError: When the iteration reaches it.
    """
    if by_line:
        lines = _lines(path, limit)
        yield from _pack(lines, limit) if many else (line.removesuffix(b"\n") for line in lines)
    else:
        if path.stat().st_size > limit:
            raise PayloadTooLargeError
        yield path.read_bytes()


def _lines(path: Path, limit: int) -> Iterator[bytes]:
    """The lines of the file; the newline does not count for the limit."""
    with path.open("rb") as file:
        while line := file.readline(limit + 1):
            if len(line) > limit and not line.endswith(b"\n"):
                raise PayloadTooLargeError
            yield line


def _pack(lines: Iterator[bytes], limit: int) -> Iterator[bytes]:
    packed: list[bytes] = []
    size = 0
    for line in lines:
        if packed and size + len(line) > limit:
            yield b"".join(packed)
            packed, size = [], 0
        packed.append(line)
        size += len(line)
    if packed:
        yield b"".join(packed)
