"""Reads a corpus: checks every entry, names every problem by file and row.

Formats, by suffix; UTF-8 with or without a byte-order mark, lines ending with LF or CRLF:

- `.csv` without a header: two columns, question and answer. Ids are the records' indices from 0.
- `.csv` with a header: answer (or text) and optionally question and id, in any order and case.
- `.jsonl`, `.ndjson`, `.json`: one object a line with the same names.

Limits: 100,000 bytes a text, 256 characters an id, 1,048,576 bytes a line. An exact duplicate of
another entry's question and answer is allowed; a duplicate id is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from corpus.csv_records import Fields, csv_records
from corpus.entry import MAX_ID_CHARACTERS, MAX_TEXT_BYTES, Embed, Entry, EntryChecker
from corpus.errors import CorpusError, Problems, StopReading
from corpus.jsonl_records import jsonl_records
from corpus.lines import Lines, LineSource

__all__ = [
    "MAX_ID_CHARACTERS",
    "MAX_TEXT_BYTES",
    "SUFFIXES",
    "CorpusError",
    "CorpusInfo",
    "Embed",
    "Entry",
    "describe",
    "iter_corpus",
    "read_corpus",
]

_PARSERS: dict[str, Callable[[Lines, Problems], Iterator[Fields]]] = {
    ".csv": csv_records,
    ".json": jsonl_records,
    ".jsonl": jsonl_records,
    ".ndjson": jsonl_records,
}
SUFFIXES = tuple(_PARSERS)
"""Suffixes of the formats that can be read."""


@dataclass(frozen=True, slots=True)
class CorpusInfo:
    """What is known about a corpus after one pass over it.

    Attributes:
        sha256: of the file's bytes, in hexadecimal.
        bytes: the size of the file.
        entries: the number of entries, at least one.
        has_questions: whether every entry has a question.
    """

    sha256: str
    bytes: int
    entries: int
    has_questions: bool


def read_corpus(path: Path, name: str | None = None, *, embed: Embed = "answer") -> list[Entry]:
    """All entries of a corpus, in the file's order.

    Args:
        path: the file.
        name: what messages call the file; by default its path.
        embed: "question" and "both" require a question in every entry.

    Raises:
        CorpusError: lists the first 20 problems and counts the rest.
    """
    return list(iter_corpus(path, name, embed=embed))


def iter_corpus(path: Path, name: str | None = None, *, embed: Embed = "answer") -> Iterator[Entry]:
    """The entries of a corpus one at a time, as `read_corpus` gives them.

    Memory grows only with the ids in the file. No entry follows a problem, but the rest of the file
    is still checked before CorpusError is raised; so the entries are a whole corpus only if the
    iteration ends without an error.
    """
    problems = Problems(str(path) if name is None else name)
    with _opened(path, problems) as stream:
        yield from _entries(stream, path.suffix, problems, embed)


def describe(path: Path, name: str | None = None, *, embed: Embed = "answer") -> CorpusInfo:
    """Checks a corpus as `read_corpus` does and measures it in the same pass."""
    problems = Problems(str(path) if name is None else name)
    with _opened(path, problems) as stream:
        hashing = _HashingStream(stream)
        entries = 0
        has_questions = True
        for entry in _entries(hashing, path.suffix, problems, embed):
            entries += 1
            has_questions = has_questions and entry.question is not None
    return CorpusInfo(hashing.sha256.hexdigest(), hashing.size, entries, has_questions)


class _HashingStream:
    """Hashes the lines that are read through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._readline = stream.readline
        self.sha256 = hashlib.sha256()
        self.size = 0

    def readline(self, limit: int) -> bytes:
        line = self._readline(limit)
        self.sha256.update(line)
        self.size += len(line)
        return line


def _opened(path: Path, problems: Problems) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        problems.add(None, f"cannot be read: {error.strerror}")
        raise problems.error() from None


def _entries(stream: LineSource, suffix: str, problems: Problems, embed: Embed) -> Iterator[Entry]:
    parse = _PARSERS.get(suffix.lower())
    if parse is None:
        problems.add(None, f"unknown suffix {suffix!r}; allowed are {', '.join(SUFFIXES)}")
        raise problems.error()
    checker = EntryChecker(problems, embed)
    lines = Lines(stream, problems)
    try:
        for row, given_id, question, answer in parse(lines, problems):
            entry = checker.entry(row, given_id, question, answer)
            if not problems.count:
                yield entry
    except StopReading:
        pass
    if not checker.records and not problems.count:
        found = "the file is empty" if lines.row == 0 else "no entries"
        problems.add(max(lines.row, 1), f"{found}; a corpus has at least one entry")
    if problems.count:
        raise problems.error()
