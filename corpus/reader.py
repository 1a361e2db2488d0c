"""Reads a corpus: checks every entry, names every problem by file and row.

Kinds of file, by suffix:

- `.csv`, `.tsv`, `.tab`, `.txt`: a table; see `corpus.delimited` and `corpus.tables`. A `.txt`
  without columns is read as questions, each with its answer below.
- `.json`, `.jsonl`, `.ndjson`: a document, or a value in each line; see `corpus.documents`.
- `.yaml`, `.yml` (needs PyYAML): a document.
- `.xlsx`, `.xlsm` (needs openpyxl): a table in each sheet; see `corpus.workbook`.
- no suffix: JSON if it begins so, else a table.

Text is UTF-8, or UTF-16 or UTF-32 with their marks; another encoding must be named. Limits: 100,000
bytes a text, 256 characters an id, 1,048,576 bytes a line. The same texts may stand twice; an id
may not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from corpus.checks import Checks, Model
from corpus.delimited import delimited_records
from corpus.entry import (
    MAX_ID_CHARACTERS,
    MAX_TEXT_BYTES,
    Entry,
    EntryChecker,
    Record,
)
from corpus.errors import CorpusError, Place, Problems, StopReading
from corpus.headers import Columns
from corpus.json_text import json_records
from corpus.lines import Lines

__all__ = [
    "MAX_ID_CHARACTERS",
    "MAX_TEXT_BYTES",
    "STANDARD_SUFFIXES",
    "SUFFIXES",
    "CorpusError",
    "CorpusInfo",
    "Entry",
    "Format",
    "Model",
    "describe",
    "file_sha256",
    "iter_corpus",
    "read_corpus",
]

_TABLES = (".csv", ".tsv", ".tab", ".txt")
_JSON = (".json", ".jsonl", ".ndjson")
_YAML = (".yaml", ".yml")
_WORKBOOKS = (".xlsx", ".xlsm")
STANDARD_SUFFIXES = (*_TABLES, *_JSON)
"""Suffixes of the kinds that the standard library reads."""
SUFFIXES = (*STANDARD_SUFFIXES, *_YAML, *_WORKBOOKS)
"""Suffixes of all kinds."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a person says of a file, where it does not say it itself.

    Attributes:
        encoding: of a text file, as Python names it; by default UTF-8, or UTF-16 by its mark.
        columns: which column, or key, is the `question`, the `answer`, the `id`, or a field; found
            by its name by default.
    """

    encoding: str | None = None
    columns: Columns | None = None


_DEFAULT = Format()


@dataclass(frozen=True, slots=True)
class CorpusInfo:
    """What is known about a corpus after one pass over it.

    Attributes:
        sha256: of the canonical form, in hexadecimal; the same entries have the same.
        bytes: the size of the canonical form.
        entries: the number of entries, at least one.
        has_questions: whether every entry has a question.
        first: the first three entries.
        warnings: what a person should look at, a line each.
        notes: what was skipped without harm, a sentence each.
    """

    sha256: str
    bytes: int
    entries: int
    has_questions: bool
    first: tuple[Entry, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_corpus(path: Path, name: str | None = None, *, format_: Format = _DEFAULT) -> list[Entry]:
    """All entries of a corpus, in the file's order.

    Args:
        path: the file.
        name: what messages call the file; by default its path.

    Raises:
        CorpusError: lists the first 20 problems and counts the rest.
    """
    return list(iter_corpus(path, name, format_=format_))


def iter_corpus(
    path: Path, name: str | None = None, *, format_: Format = _DEFAULT
) -> Iterator[Entry]:
    """The entries of a corpus one at a time, as `read_corpus` gives them.

    Memory grows only with the ids in a table or in JSON lines; another kind of file is held whole.
    No entry follows a problem, but the rest of the file is still checked before CorpusError is
    raised; so the entries are a whole corpus only if the iteration ends without an error.
    """
    problems = Problems(str(path) if name is None else name)
    for _, entry in _entries(path, problems, format_):
        yield entry


def describe(
    path: Path,
    name: str | None = None,
    *,
    format_: Format = _DEFAULT,
    model: Model | None = None,
) -> CorpusInfo:
    """Checks a corpus as `read_corpus` does and measures it in the same pass.

    Args:
        model: what will read the texts; with it, warnings also tell what is doubtful in the entries
            and which of them the model cannot read well.
    """
    problems = Problems(str(path) if name is None else name)
    checks = Checks(problems, model) if model else None
    digest = hashlib.sha256()
    size = entries = 0
    has_questions = True
    first: list[Entry] = []
    for place, entry in _entries(path, problems, format_):
        line = entry.canonical().encode()
        digest.update(line)
        size += len(line)
        entries += 1
        has_questions = has_questions and entry.question is not None
        if len(first) < 3:
            first.append(entry)
        if checks is not None:
            checks.add(place, entry)
    if checks is not None:
        checks.finish()
    return CorpusInfo(
        digest.hexdigest(),
        size,
        entries,
        has_questions,
        tuple(first),
        problems.warnings,
        tuple(problems.notes),
    )


def file_sha256(file: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal; it tells what is pinned in S3."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _entries(path: Path, problems: Problems, format_: Format) -> Iterator[tuple[Place, Entry]]:
    checker = EntryChecker(problems)
    try:
        with _opened(path, problems) as stream:
            for record in _records(stream, path, problems, format_):
                entry = checker.entry(record)
                if entry is not None and not problems.count:
                    yield record.place, entry
    except StopReading:
        pass
    if not checker.entries and not problems.count:
        _refuse_empty(path, checker.left_out, problems)
    if problems.count:
        raise problems.error()


def _refuse_empty(path: Path, left_out: int, problems: Problems) -> None:
    if left_out:
        found = f"{left_out:,} questions and no answer" if left_out > 1 else "no answer"
    else:
        found = "the file is empty" if path.stat().st_size == 0 else "no entries"
    problems.add(1, f"{found}; a corpus has at least one entry with an answer")


def _opened(path: Path, problems: Problems) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise problems.stop(None, f"cannot be read: {error.strerror}") from None


def _records(stream: BinaryIO, path: Path, problems: Problems, format_: Format) -> Iterator[Record]:
    suffix, columns = path.suffix.lower(), format_.columns
    if suffix in _WORKBOOKS:
        from corpus.workbook import workbook_records  # noqa: PLC0415 - needs a package

        return workbook_records(stream, problems, columns)
    if suffix and suffix not in SUFFIXES:
        raise problems.stop(None, _unknown(path.suffix))
    is_json = suffix in _JSON or (not suffix and _begins_as_json(stream))
    lines = Lines(stream, problems, format_.encoding)
    if is_json:
        return json_records(lines, problems, columns)
    if suffix in _YAML:
        from corpus.yaml_text import yaml_records  # noqa: PLC0415 - needs a package

        return yaml_records(lines, problems, columns)
    separator = "\t" if suffix in {".tsv", ".tab"} else None
    return delimited_records(lines, problems, columns, separator, may_be_prose=suffix == ".txt")


def _begins_as_json(stream: BinaryIO) -> bool:
    head = stream.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")
    stream.seek(0)
    return head.startswith((b"{", b"["))


def _unknown(suffix: str) -> str:
    found = f"unknown suffix {suffix!r}"
    hint = {
        ".xls": "; save it as .xlsx",
        ".ods": "; save it as .xlsx or .csv",
        ".numbers": "; export it as .xlsx or .csv",
        ".docx": "; put questions and answers into a table, .xlsx or .csv",
        ".pdf": "; put questions and answers into a table, .xlsx or .csv",
        ".xml": "; convert it to JSON",
        ".parquet": "; convert it to JSON lines, for instance with pandas' to_json",
    }.get(suffix.lower(), "")
    if hint:
        return f"{found}{hint}"
    return f"{found}; the suffix names the kind of file: {', '.join(SUFFIXES)}"
