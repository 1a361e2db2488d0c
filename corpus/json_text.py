"""Records of JSON, as one document or with an object in each line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from corpus.documents import document_records
from corpus.entry import Record
from corpus.errors import Problems, shown
from corpus.headers import Columns
from corpus.lines import Lines


class _WrongJsonError(Exception):
    """What is wrong with a text that should be JSON; `row` is a line of it, from 1."""

    def __init__(self, sentence: str, row: int = 1) -> None:
        super().__init__(sentence)
        self.row = row


def json_records(lines: Lines, problems: Problems, columns: Columns | None) -> Iterator[Record]:
    """The records of a document, or of lines with a JSON value each; blank lines are skipped.

    The first line that is not blank decides: if it is complete, each line is read by itself.
    """
    numbered = ((n, line) for n, line in enumerate(lines, 1) if not line.isspace())
    first = next(numbered, None)
    if first is None:
        return
    second = next(numbered, None)
    rest = chain([first], [second] if second else [], numbered)
    if second is not None and _is_complete(first[1]):
        yield from line_records(rest, problems, columns)
    else:
        yield from _whole(list(rest), problems, columns)


def _is_complete(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict | list)
    except (ValueError, RecursionError):
        return False


def line_records(
    lines: Iterable[tuple[int, str]], problems: Problems, columns: Columns | None = None
) -> Iterator[Record]:
    """The records of numbered lines with a JSON value each, none of them blank."""
    for row, line in lines:
        try:
            value = _load(line)
        except _WrongJsonError as error:
            problems.add(row, f"{error}; one object a line is allowed")
            continue
        if isinstance(value, dict | list):
            yield from document_records(value, problems, columns, row)
        else:
            problems.add(
                row, f"not an object but {shown(line.strip())}; one object a line is allowed"
            )


def _whole(
    lines: list[tuple[int, str]], problems: Problems, columns: Columns | None
) -> Iterator[Record]:
    begin, start = lines[0]
    if not start.lstrip().startswith(("{", "[")):
        raise problems.stop(
            begin,
            f"not JSON: {shown(start.strip())}; if this is a table, name the file .csv or .tsv",
        )
    try:
        document = _load("".join(line for _, line in lines))
    except _WrongJsonError as error:
        if len(lines) > 1 and len(start.strip()) > 1 and _is_complete(lines[1][1]):
            yield from line_records(lines, problems, columns)  # only the first line is wrong
            return
        row = lines[min(error.row, len(lines)) - 1][0]
        raise problems.stop(row, str(error)) from None
    yield from document_records(document, problems, columns)


def _load(text: str) -> Any:
    """The value of a text. Raises _WrongJsonError, also for a key that stands twice."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        sentence = f"not JSON ({error.msg} at character {error.colno}){_hint(error)}"
        raise _WrongJsonError(sentence, error.lineno) from None
    except RecursionError:
        raise _WrongJsonError("JSON nested too deeply") from None
    except ValueError:
        # The only other reason: Python refuses to convert numbers of thousands of digits.
        raise _WrongJsonError("a number of too many digits") from None


def _hint(error: json.JSONDecodeError) -> str:
    """What people usually do wrong there."""
    before, after = error.doc[: error.pos].rstrip()[-1:], error.doc[error.pos :].lstrip()[:1]
    if (before == "," and after in {"]", "}"}) or (after == "," and "Extra data" in error.msg):
        return "; there is a comma too many"
    if after == "'":
        return "; JSON has double quotes, not single ones"
    if not after:
        return "; the file ends too early"
    return ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        one, two = [inner for key, inner in pairs if key == twice][:2]
        raise _WrongJsonError(
            f"the key {twice!r} twice in one object, {shown(str(one))} and {shown(str(two))};"
            " keep one"
        )
    return value


def _constant(_name: str) -> None:
    """NaN and Infinity, which are not JSON but what pandas writes for nothing."""


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _WrongJsonError(f"the number {shown(text)}, which is too large")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
