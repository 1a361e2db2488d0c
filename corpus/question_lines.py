"""Text in which each question, on a line of its own, is followed by its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpus.entry import Record, is_blank
from corpus.errors import Problems, shown
from corpus.headers import role_of

_LABELLED = re.compile(r"\s*(?:\d+[.)]\s*)?([^\W\d_]{1,12})\s*\d*\s*[:.)]\s+(.*)", re.DOTALL)
_ASKING = ("?", "？", "؟")


def question_records(numbered: Iterator[tuple[int, str]], problems: Problems) -> Iterator[Record]:
    """The records of lines: a question ends with a question mark or begins with `Q:`.

    The lines below it are its answer. Since any text has such lines, a warning says so.
    """
    record: Record | None = None
    problems.warn(
        "texts without columns",
        1,
        "there are no columns; each line that ends with a question mark is read as a question, and"
        " the lines below it as its answer",
    )
    for number, raw in numbered:
        label, line = _without_label(raw.rstrip("\r\n"))
        if is_blank(line):
            continue
        if label == "question" or (label is None and line.rstrip().endswith(_ASKING)):
            if record is not None:
                yield record
            record = Record(number, None, [line], "", {})
        elif record is None:
            problems.warn(
                "lines before the first question", number, f"{shown(line)} is no question: skipped"
            )
        else:
            record.answer = f"{record.answer}\n{line}" if record.answer else line
    if record is not None:
        yield record


def asks(lines: list[str]) -> bool:
    """Whether there are questions among the lines."""
    return any(
        line.rstrip().endswith(_ASKING) or _without_label(line)[0] == "question" for line in lines
    )


def _without_label(line: str) -> tuple[str | None, str]:
    """`Q: When?` -> question, `When?`."""
    found = _LABELLED.fullmatch(line)
    role = role_of(found[1]) if found else None
    return (role, found[2]) if found and role else (None, line)
