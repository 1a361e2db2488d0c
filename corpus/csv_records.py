"""Records of a CSV corpus."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain

from corpus.errors import Problems
from corpus.lines import Lines

Fields = tuple[int, str | None, str | None, str]
"""Row, id, question and answer of one record."""

_COLUMNS = {
    "id": "id",
    "question": "question",
    "questions": "question",
    "answer": "answer",
    "answers": "answer",
    "text": "answer",
}
_ALLOWED = (
    "a header has answer (or text) and optionally question and id, in any order; "
    "without a header a file has two columns, question,answer"
)


def csv_records(lines: Lines, problems: Problems) -> Iterator[Fields]:
    """The records of a CSV file; blank lines are skipped.

    The first record is a header if one of its cells is the name of a column. A file of `id,text`
    rows therefore needs its header: without one it reads as question,answer.
    """
    rows = _rows(lines, problems)
    first = next(rows, None)
    if first is None:
        return
    names = [cell.strip().lower() for cell in first[1]]
    if _COLUMNS.keys().isdisjoint(names):
        yield from _without_header(first, rows, problems)
    else:
        yield from _with_header(first[0], names, rows, problems)


def _without_header(
    first: tuple[int, list[str]], rows: Iterator[tuple[int, list[str]]], problems: Problems
) -> Iterator[Fields]:
    for row, cells in chain([first], rows):
        if len(cells) == 2:
            yield row, None, cells[0], cells[1]
        else:
            problems.add(row, f"{_count(cells)}; {_ALLOWED}")


def _with_header(
    header_row: int, names: list[str], rows: Iterator[tuple[int, list[str]]], problems: Problems
) -> Iterator[Fields]:
    columns = [_COLUMNS.get(name) for name in names]
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown:
        raise problems.stop(
            header_row, f"unknown column {', '.join(map(repr, unknown))}; {_ALLOWED}"
        )
    if len(set(columns)) < len(columns):
        raise problems.stop(header_row, f"a column twice in {', '.join(names)}; {_ALLOWED}")
    if "answer" not in columns:
        raise problems.stop(
            header_row, f"missing column answer; found {', '.join(names)}; {_ALLOWED}"
        )
    answer = columns.index("answer")
    question = columns.index("question") if "question" in columns else None
    given_id = columns.index("id") if "id" in columns else None
    for row, cells in rows:
        if len(cells) != len(columns):
            problems.add(
                row, f"{_count(cells)}; the header names {len(columns)}: {', '.join(names)}"
            )
            continue
        yield (
            row,
            None if given_id is None else cells[given_id],
            None if question is None else cells[question],
            cells[answer],
        )


def _count(cells: list[str]) -> str:
    if len(cells) > 1:
        return f"{len(cells)} columns"
    hint = next(
        (f" (columns are separated by commas, not {c!r})" for c in ";\t" if c in cells[0]), ""
    )
    return f"1 column{hint}"


def _rows(lines: Lines, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record, with the line on which it starts."""
    reader = csv.reader(lines, strict=True)
    while True:
        lines.record_row = row = lines.row + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            _explain(error, row, lines.row, problems)
            continue
        if cells:
            yield row, cells


def _never_closed(problems: Problems, row: int, last_row: int) -> Exception:
    return problems.stop(
        row,
        f"unbalanced quote: a quote opened here is still open in line {last_row}; close it, and "
        "double the quotes inside a quoted text. The rest of the file was not read",
    )


def _explain(error: csv.Error, row: int, last_row: int, problems: Problems) -> None:
    """Reports what the csv module objected to, in the terms of a corpus."""
    message = str(error)
    if "unexpected end of data" in message:
        raise _never_closed(problems, row, last_row)
    if "field larger than field limit" in message:
        if last_row > row:
            raise _never_closed(problems, row, last_row)
        problems.add(
            row, f"row too large: a text of more than {csv.field_size_limit():,} characters"
        )
    elif "new-line character seen" in message:
        problems.add(row, "a carriage return without a line feed; lines end with LF or CRLF")
    else:
        problems.add(
            row,
            f"unbalanced quote, between lines {row} and {last_row}: a quoted text is followed by "
            "something other than a comma; double the quotes inside a quoted text",
        )
