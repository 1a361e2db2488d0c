"""How outputs become one object: the parts of a multipart upload.

S3 copies parts by itself, but only the last may be smaller than 5 MiB. So large outputs are
copied, and what is too small for that is joined in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_COPY_BYTES = 512 * 1024 * 1024
MAX_PARTS = 10_000
MAX_OBJECT_BYTES = 5 * 1024**4


@dataclass(frozen=True, slots=True)
class Source:
    """An output to be merged; `ends_line` says whether its last byte is a line feed."""

    key: str
    size: int
    ends_line: bool


@dataclass(frozen=True, slots=True)
class Range:
    """The bytes of an object from `start` up to, but not including, `end`."""

    key: str
    start: int
    end: int
    is_whole: bool

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def header(self) -> str:
        """As S3 takes it."""
        return f"bytes={self.start}-{self.end - 1}"


Part = tuple[Range | bytes, ...]
"""Bytes stand for themselves: the line feed that a source lacks."""


def plan_parts(sources: Iterable[Source]) -> list[Part]:
    """The parts that together are all sources, one line after another.

    Each part is a range of 5 MiB to 512 MiB, to be copied; or several pieces of at most 5 MiB
    together, to be read; or the last, which may be smaller.
    """
    parts: list[Part] = []
    small: list[Range | bytes] = []
    room = MIN_PART_BYTES
    for source in sources:
        start = min(room, source.size) if small else 0
        if start:
            small.append(_range(source, 0, start))
            room -= start
        if not room:
            parts.append(tuple(small))
            small, room = [], MIN_PART_BYTES
        rest = source.size - start
        if rest >= MIN_PART_BYTES:
            parts.extend((each,) for each in _cut(source, start))
        elif rest:
            small.append(_range(source, start, source.size))
            room -= rest
        if not source.ends_line:
            # This may take the last of the room; the next source then adds nothing to it.
            small.append(b"\n")
            room -= 1
    if small:
        parts.append(tuple(small))
    return parts


def copied_range(part: Part) -> Range | None:
    """The range that S3 can copy by itself, if the part is one."""
    [first, *others] = part
    if isinstance(first, Range) and not others and first.size >= MIN_PART_BYTES:
        return first
    return None


def _cut(source: Source, start: int) -> Iterable[Range]:
    """The rest of a source as equal ranges."""
    rest = source.size - start
    count = -(-rest // MAX_COPY_BYTES)
    edges = [start + rest * number // count for number in range(count + 1)]
    return (_range(source, *edge) for edge in itertools.pairwise(edges))


def _range(source: Source, start: int, end: int) -> Range:
    return Range(source.key, start, end, is_whole=(start, end) == (0, source.size))
