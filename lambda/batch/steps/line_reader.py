"""Lines of a stream of chunks, none of which needs more memory than its limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_LINE_BYTES = 1_048_576
"""Longest line that may hold a record, its end included."""
_PIECE_BYTES = MAX_LINE_BYTES + 1


def read_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Each line with its line feed; the last may have none.

    A line beyond MAX_LINE_BYTES comes in pieces. The first is longer than that by one byte, which
    is how it is told from a line, and only the last ends with a line feed (or with the file). The
    pieces do not depend on how the stream was cut into chunks.

    Lines end at LF only: CRLF stays, and what else Unicode calls a line separator is text.
    """
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if len(line) < _PIECE_BYTES:
                yield line + b"\n"
            else:
                yield from _pieces(line + b"\n")
        if len(rest) > _PIECE_BYTES:
            *pieces, rest = _pieces(rest)
            yield from pieces
    if rest:
        yield rest


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + _PIECE_BYTES] for start in range(0, len(line), _PIECE_BYTES)]
