"""One entry of a corpus, and the checks that apply to every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from corpus.errors import Problems

Embed = Literal["answer", "question", "both"]
"""Which text of an entry is embedded."""

MAX_TEXT_BYTES = 100_000
"""Longest question or answer, in UTF-8 bytes."""
MAX_ID_CHARACTERS = 256
"""Longest id, in characters."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a corpus.

    Attributes:
        id: unique within the corpus; the record's index from 0 if the file has no ids.
        question: None for a text without a question.
        answer: the text that a search finds; never empty, and exactly as in the file, including
            white space around it.
    """

    id: str
    question: str | None
    answer: str


class EntryChecker:
    """Turns the fields of a record into an Entry and reports what is wrong with them.

    Duplicate texts are allowed: an FAQ gathered from several pages repeats itself, and both
    entries stay reachable by their ids. Memory grows with the ids in the file (about 150 bytes
    each), and not at all without them.
    """

    def __init__(self, problems: Problems, embed: Embed) -> None:
        self._problems = problems
        self._needs_question = embed != "answer"
        self._embed = embed
        self._rows_of_ids: dict[str, int] = {}
        self._with_ids: bool | None = None
        self.records = 0

    def entry(self, row: int, given_id: str | None, question: str | None, answer: str) -> Entry:
        """The entry of the record at `row`; not to be used once there are problems."""
        index = self.records
        self.records += 1
        if question is not None and (not question or question.isspace()):
            question = None
        if question is None:
            if self._needs_question:
                self._problems.add(
                    row,
                    f'no question; embed = "{self._embed}" needs one in every entry '
                    '(embed = "answer" does not)',
                )
        elif len(question) > MAX_TEXT_BYTES // 4:
            self._check_size(row, "question", question)
        if not answer or answer.isspace():
            self._problems.add(row, "no text: the answer is empty; every entry needs one")
        elif len(answer) > MAX_TEXT_BYTES // 4:
            self._check_size(row, "answer", answer)
        if given_id is not None:
            given_id = given_id.strip()
            self._check_id(row, given_id)
        if self._with_ids is None:
            self._with_ids = given_id is not None
        elif self._with_ids != (given_id is not None):
            found = "an id, but entries before it have none" if given_id else "no id"
            self._problems.add(row, f"{found}; give every entry an id, or none")
        return Entry(str(index) if given_id is None else given_id, question, answer)

    def _check_size(self, row: int, field: str, text: str) -> None:
        size = len(text.encode("utf-8", errors="replace"))
        if size > MAX_TEXT_BYTES:
            self._problems.add(
                row,
                f"row too large: the {field} has {size:,} bytes; at most {MAX_TEXT_BYTES:,}",
            )

    def _check_id(self, row: int, given_id: str) -> None:
        if not given_id:
            self._problems.add(row, "empty id; give every entry an id, or leave ids out altogether")
        elif len(given_id) > MAX_ID_CHARACTERS:
            self._problems.add(
                row, f"id of {len(given_id):,} characters; at most {MAX_ID_CHARACTERS}"
            )
        else:
            first = self._rows_of_ids.setdefault(given_id, row)
            if first != row:
                self._problems.add(
                    row, f"duplicate id {given_id!r}, first used in row {first}; ids are unique"
                )
