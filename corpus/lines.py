"""The lines of a UTF-8 file, decoded one at a time so that a problem can name its place."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Protocol

from corpus.errors import Problems

MAX_LINE_BYTES = 1_048_576
"""The longest line that is read, so that a file without line ends cannot fill the memory."""


class LineSource(Protocol):
    """An open binary file, or something that wraps one."""

    def readline(self, limit: int, /) -> bytes: ...


class Lines:
    """Iterates over the lines of a binary stream as text, with their line ends.

    Lines end at LF only: CRLF stays in the text, and what else Unicode calls a line separator is
    ordinary text. A byte-order mark is dropped.

    Attributes:
        row: the number of the latest line, from 1; 0 before the first.
        record_row: the line on which the current record starts; its parser sets it, and problems
            found here name it.
    """

    def __init__(self, stream: LineSource, problems: Problems) -> None:
        self._stream = stream
        self._problems = problems
        self.row = 0
        self.record_row = 1

    def __iter__(self) -> Iterator[str]:
        offset = 0
        readline = self._stream.readline
        while raw := readline(MAX_LINE_BYTES + 1):
            self.row += 1
            if self.row == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise self._problems.stop(1, "the file is UTF-16; save it as UTF-8")
            if len(raw) > MAX_LINE_BYTES:
                raise self._problems.stop(
                    self.record_row,
                    f"row too large: line {self.row} is longer than {MAX_LINE_BYTES:,} bytes; "
                    "lines end with LF or CRLF, and a text has at most 100,000 bytes. "
                    "The rest of the file was not read",
                )
            if b"\0" in raw:
                self._problems.add(
                    self.record_row,
                    f"NUL byte at byte offset {offset + raw.index(0)}; a corpus is plain text",
                )
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                self._problems.add(
                    self.record_row,
                    f"not UTF-8: byte 0x{raw[error.start]:02x} at byte offset "
                    f"{offset + error.start} ({error.reason}); save the file as UTF-8",
                )
                line = raw.decode("utf-8", errors="replace")
            offset += len(raw)
            yield line.removeprefix("\ufeff") if self.row == 1 else line
