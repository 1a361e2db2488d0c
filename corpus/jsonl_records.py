"""Records of a corpus of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from corpus.csv_records import Fields
from corpus.errors import Problems
from corpus.lines import Lines

_KEYS = frozenset({"id", "question", "answer", "text"})
_ALLOWED = "allowed are answer (or text) and optionally question and id"
_ONE_OBJECT = "one object a line is allowed"


class _WrongRecordError(Exception):
    """What is wrong with a line."""


def jsonl_records(lines: Lines, problems: Problems) -> Iterator[Fields]:
    """The records of a file with one JSON object a line; blank lines are skipped."""
    numbered = iter(lines)
    is_first = True
    while True:
        lines.record_row = lines.row + 1
        line = next(numbered, None)
        if line is None:
            return
        if line.isspace():
            continue
        if is_first and line.lstrip().startswith("["):
            raise problems.stop(lines.row, f"a JSON array over the whole file; {_ONE_OBJECT}")
        is_first = False
        try:
            fields = _fields(lines.row, _object(line))
            if "\\u" in line:
                _check_escapes(fields)
        except _WrongRecordError as error:
            problems.add(lines.row, str(error))
        else:
            yield fields


def _object(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except RecursionError:
        raise _WrongRecordError(f"JSON nested too deeply; {_ONE_OBJECT}") from None
    except json.JSONDecodeError as error:
        found = f"{error.msg} at character {error.pos + 1}"
        raise _WrongRecordError(f"not JSON ({found}); {_ONE_OBJECT}") from None
    except ValueError:
        # The only other reason: Python refuses to convert numbers of thousands of digits.
        raise _WrongRecordError(f"a number of too many digits; {_ONE_OBJECT}") from None
    if not isinstance(record, dict):
        raise _WrongRecordError(f"a JSON {_kind(record)}; {_ONE_OBJECT}")
    return record


def _fields(row: int, record: dict[str, Any]) -> Fields:
    unknown = record.keys() - _KEYS
    if unknown:
        raise _WrongRecordError(f"unknown key {', '.join(map(repr, sorted(unknown)))}; {_ALLOWED}")
    if ("answer" in record) == ("text" in record):
        found = "both answer and text" if "answer" in record else "missing answer"
        raise _WrongRecordError(f"{found}; {_ALLOWED}")
    given_id = record.get("id")
    if isinstance(given_id, int) and not isinstance(given_id, bool):
        given_id = str(given_id)
    answer = record.get("answer", record.get("text"))
    if not isinstance(answer, str):
        raise _WrongRecordError(f"the answer is a JSON {_kind(answer)}; a string is allowed")
    return row, _optional("id", given_id), _optional("question", record.get("question")), answer


def _optional(key: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    allowed = "a string or a whole number" if key == "id" else "a string or null"
    raise _WrongRecordError(f"the {key} is a JSON {_kind(value)}; {allowed} is allowed")


def _check_escapes(fields: Fields) -> None:
    r"""Refuses what only \u escapes, and not UTF-8, can express; and NUL."""
    for text in fields[1:]:
        if isinstance(text, str):
            if "\0" in text:
                raise _WrongRecordError(r"NUL character (\u0000); a corpus is plain text")
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:
                raise _WrongRecordError(
                    r"half of a surrogate pair (\ud800 to \udfff); give both halves or neither"
                ) from None


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
