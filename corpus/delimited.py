"""Rows of a text file with separators: CSV, TSV, and what spreadsheets make of them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

from corpus.entry import Record, is_blank
from corpus.errors import Problems, shown, shown_row
from corpus.headers import Columns, ends_sentence, is_known
from corpus.lines import Lines
from corpus.question_lines import asks, question_records
from corpus.tables import Row, names_answer, table_records

_SEPARATORS = ",;\t|"
_HEAD_LINES = 500
_HEAD_CHARACTERS = 65_536
_COLUMNS = 0.8
"""Share of rows of one width from which a text is a table."""
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_SPACE_BEFORE_QUOTE = re.compile(r"^[ ]+\"")


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a file separates and quotes.

    Attributes:
        spaces: a space after a separator belongs to it.
        backslash: a quote within a quoted text is written \\" and not "".
        framed: rows begin and end with the separator, as in a Markdown table.
    """

    separator: str
    spaces: bool
    backslash: bool
    framed: bool = False

    def read(self, lines: Iterable[str]) -> Iterator[list[str]]:
        if self.backslash:
            lines = (line.replace('\\"', '""') for line in lines)
        return csv.reader(
            lines, delimiter=self.separator, skipinitialspace=self.spaces, strict=True
        )


def delimited_records(
    lines: Lines,
    problems: Problems,
    columns: Columns | None,
    separator: str | None = None,
    *,
    may_be_prose: bool = False,
) -> Iterator[Record]:
    """The records of a table in a text file.

    Args:
        separator: that of the file's kind, where it has one.
        may_be_prose: whether a file without columns is read as questions with their answers below.
    """
    numbered = enumerate(lines, 1)
    head: list[tuple[int, str]] = []
    size = 0
    complete = True
    for number, line in numbered:
        match = _SEP_LINE.fullmatch(line) if number == 1 else None
        if match:
            separator = match[1]
            continue
        head.append((number, line))
        size += len(line)
        if len(head) == _HEAD_LINES or size > _HEAD_CHARACTERS:
            complete = False
            break
    sample = [line for _, line in head]
    _refuse_json(sample, problems)
    if may_be_prose and not separator and not _has_columns(sample, complete) and asks(sample):
        yield from question_records(chain(head, numbered), problems)
        return
    dialect = _dialect(sample, separator, problems, complete=complete)
    rows = _rows(chain(head, numbered), dialect, problems)
    yield from table_records(rows, problems, columns)


def _refuse_json(sample: list[str], problems: Problems) -> None:
    start = "".join(sample[:3]).lstrip()
    if re.match(r'\[\s*[{\[]|\{\s*"', start):
        raise problems.stop(
            1, "this is JSON and no table; name the file .json, or .jsonl if each line is an object"
        )


def _has_columns(sample: list[str], complete: bool) -> bool:
    """Whether a separator divides nearly every line in the same way."""
    ranks = [_measured(sample, _Dialect(each, False, False), complete)[0] for each in _SEPARATORS]
    return any(header or fits >= _COLUMNS for header, fits, *_ in ranks)


def _dialect(
    sample: list[str], separator: str | None, problems: Problems, *, complete: bool
) -> _Dialect:
    backslash = '\\"' in "".join(sample)
    found = [
        _measured(sample, _Dialect(each, False, False), complete)
        for each in (separator or _SEPARATORS)
    ]
    best = max(found, key=lambda each: each[0])
    rank, dialect, rows = best
    rivals = [
        other.separator
        for other_rank, other, _ in found
        if other_rank[:3] == rank[:3] and other != dialect
    ]
    if rivals and rank[0] == 0 and rank[1] > 0:
        problems.warn(
            "separators in doubt",
            1,
            f"{dialect.separator!r} is read as the separator, and {rivals[0]!r} would do as well;"
            f" a first line sep={dialect.separator} settles it",
        )
    if backslash:
        plain, escaped = (
            _errors(sample, _Dialect(dialect.separator, False, each)) for each in (False, True)
        )
        backslash = escaped < plain
        dialect = _Dialect(dialect.separator, False, backslash)
        rows = _parsed(sample, dialect, complete)
    framed = dialect.separator == "|" and all(
        line.lstrip().startswith("|") for line in sample if not is_blank(line)
    )
    return _Dialect(dialect.separator, _spaces(rows), backslash, framed)


def _spaces(rows: list[list[str]]) -> bool:
    """Whether a space after each separator is part of it, or stands before a quote."""
    later = [cell for row in rows for cell in row[1:] if cell]
    return any(_SPACE_BEFORE_QUOTE.match(cell) for cell in later) or (
        len(later) > 1 and all(cell.startswith(" ") for cell in later)
    )


def _measured(
    sample: list[str], dialect: _Dialect, complete: bool
) -> tuple[tuple[float, ...], _Dialect, list[list[str]]]:
    """How well a separator fits: a header, rows of one width, whole sentences in the cells."""
    rows = [row for row in _parsed(sample, dialect, complete) if not all(map(is_blank, row))]
    widths = Counter(len(row) for row in rows if len(row) > 1)
    fits = max(widths.values(), default=0) / max(len(rows), 1)
    header = names_answer([(n, row) for n, row in enumerate(rows[:10])]) and fits > 0
    whole = sum(ends_sentence(row[0]) for row in rows if len(row) > 1) / max(len(rows), 1)
    likely = 1 if dialect.separator == "\t" and fits else -_SEPARATORS.find(dialect.separator)
    return (float(header), round(fits, 2), round(whole, 1), float(likely)), dialect, rows


def _parsed(sample: list[str], dialect: _Dialect, complete: bool) -> list[list[str]]:
    """The sample's rows, leniently; without the last one where the sample may cut it."""
    lines = (line.replace('\\"', '""') if dialect.backslash else line for line in sample)
    rows = []
    try:
        for row in csv.reader(lines, delimiter=dialect.separator):
            rows.append(row)
    except csv.Error:
        pass
    return rows if complete or len(rows) < 2 else rows[:-1]


def _errors(sample: list[str], dialect: _Dialect) -> int:
    count = 0
    rows = dialect.read(sample)
    while True:
        try:
            next(rows)
        except StopIteration:
            return count
        except csv.Error:
            count += 1


def _rows(
    numbered: Iterator[tuple[int, str]], dialect: _Dialect, problems: Problems
) -> Iterator[Row]:
    """The cells of each row, with the line on which it starts."""
    line_number = 0
    before = ""

    def lines() -> Iterator[str]:
        nonlocal line_number, before
        for number, line in numbered:
            line_number, before = number, line
            yield line

    reader = dialect.read(lines())
    while True:
        start = line_number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            _explain(error, start, line_number, dialect, problems)
            continue
        if not dialect.spaces and _has_space_before_quote(cells):
            problems.add(
                start,
                f"a space before a quote: {shown_row(cells)}; a quote begins right after the"
                " separator",
            )
            continue
        if dialect.framed:
            cells = [cell.strip() for cell in cells]
        _warn_of_split_sentences(start, cells, dialect, problems)
        yield start, cells


def _has_space_before_quote(cells: list[str]) -> bool:
    return any(cell[:1] == " " and _SPACE_BEFORE_QUOTE.match(cell) for cell in cells)


def _warn_of_split_sentences(
    row: int, cells: list[str], dialect: _Dialect, problems: Problems
) -> None:
    if dialect.separator not in ",;":
        return
    for one, other in pairwise(cells):
        if not dialect.spaces and other[:1] != " ":
            continue
        begins = other.lstrip()
        if not begins[:1].islower() or begins.startswith(("http", "www.")):
            continue
        if not (ends_sentence(one) or is_known(other)):
            problems.warn(
                "rows split within a sentence",
                row,
                f"{dialect.separator!r} seems to split a sentence: {shown_row(cells)}",
            )
            return


def _explain(
    error: csv.Error, row: int, last_row: int, dialect: _Dialect, problems: Problems
) -> None:
    """Reports what the csv module objected to, in the terms of a corpus."""
    message = str(error)
    if "unexpected end of data" in message or (
        "field larger than field limit" in message and last_row > row
    ):
        raise problems.stop(
            row,
            f"unbalanced quote: a quote opened here is still open in line {last_row}; close it, and"
            " double the quotes inside a quoted text. The rest of the file was not read",
        )
    if "field larger than field limit" in message:
        problems.add(
            row, f"row too large: a text of more than {csv.field_size_limit():,} characters"
        )
    elif "new-line character seen" in message:
        problems.add(row, "a carriage return without a line feed; lines end with LF or CRLF")
    else:
        where = f"in line {row}" if row == last_row else f"between lines {row} and {last_row}"
        problems.add(
            row,
            f"unbalanced quote {where}: a quoted text is followed by something other than"
            f" {shown(dialect.separator)}; double the quotes inside a quoted text",
        )
