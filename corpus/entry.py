"""One entry of a corpus, its canonical form, and the checks that apply to every format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from corpus.errors import Place, Problems, shown

MAX_TEXT_BYTES = 100_000
"""Longest question or answer, and largest fields as JSON, in UTF-8 bytes."""
MAX_ID_CHARACTERS = 256
"""Longest id, in characters."""
MAX_LINE_BYTES = 1_048_576
"""Longest line of a file, and largest entry in its canonical form, in bytes."""

# White space, control and format characters, and fillers that show nothing.
_INVISIBLE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]*"
)


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a corpus. Texts are exactly as in the file, with markup and white space.

    Attributes:
        id: unique within the corpus; the entry's index from 0 if the file has no ids.
        questions: ways to ask for the answer, the main one first; empty for a text without one.
        answer: what a search finds; never empty.
        fields: whatever else the file says of the entry, as JSON values: `url`, `category` …
    """

    id: str
    questions: tuple[str, ...]
    answer: str
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str | None:
        """The main question."""
        return self.questions[0] if self.questions else None

    def canonical(self) -> str:
        """The entry as one JSON line, which reads back as the same entry."""
        # Encoding text by text takes half as long as encoding a dictionary.
        questions = ",".join(map(_json, self.questions))
        fields = f',"fields":{_json(self.fields)}' if self.fields else ""
        answer = _json(self.answer)
        return f'{{"id":{_json(self.id)},"questions":[{questions}],"answer":{answer}{fields}}}\n'


@dataclass(slots=True)
class Record:
    """What a file says of one entry, before it is checked."""

    place: Place
    id: str | None
    questions: list[str]
    answer: str
    fields: dict[str, Any]


def is_blank(text: str) -> bool:
    """Whether nothing of the text can be seen: white space, zero-width and control characters."""
    # Asked of every cell: comparing the first character settles most of them.
    return not "!" <= text[:1] <= "~" and _INVISIBLE.fullmatch(text) is not None


class EntryChecker:
    """Turns records into entries and reports what is wrong with them.

    Memory grows with the ids in the file (about 150 bytes each), and not at all without them.

    Attributes:
        entries: how many there were.
        left_out: records without an answer.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._places_of_ids: dict[str, Place] = {}
        self._with_ids: bool | None = None
        self.entries = 0
        self.left_out = 0

    def entry(self, record: Record) -> Entry | None:
        """The record's entry, None if it has no answer; not to be used once there are problems."""
        questions = tuple([q for q in record.questions if not is_blank(q)])
        if len(questions) > 1:
            questions = tuple(dict.fromkeys(questions))
        place, problems = record.place, self._problems
        if is_blank(record.answer):
            self.left_out += 1
            asked = f" to {shown(questions[0])}" if questions else ""
            problems.warn("entries without an answer", place, f"no answer{asked}; it is left out")
            return None
        given_id = record.id.strip() if record.id else ""
        self._check_id(place, given_id)
        entry = Entry(given_id or str(self.entries), questions, record.answer, record.fields)
        self.entries += 1
        self._check_size(place, entry)
        return entry

    def _check_size(self, place: Place, entry: Entry) -> None:
        fields = _json(entry.fields) if entry.fields else ""
        joined = "".join((entry.answer, *entry.questions, fields))
        if not joined.isascii():
            try:
                joined.encode("utf-8")
            except UnicodeEncodeError:
                self._problems.add(
                    place,
                    r"half of a surrogate pair (\ud800 to \udfff); give both halves or neither",
                )
                return
        if "\0" in joined:
            self._problems.add(place, r"NUL character (\u0000); a corpus is plain text")
        if len(joined) <= MAX_TEXT_BYTES // 4:
            return
        longest = max(entry.questions, key=len, default="")
        texts = {"answer": entry.answer, "question": longest, "other columns": fields}
        for name, text in texts.items():
            size = len(text.encode("utf-8"))
            if size > MAX_TEXT_BYTES:
                self._problems.add(
                    place,
                    f"too large: {size:,} bytes of {name}; at most {MAX_TEXT_BYTES:,}. Divide it"
                    " into several entries",
                )
                return
        size = len(entry.canonical().encode("utf-8"))
        if size > MAX_LINE_BYTES:
            self._problems.add(
                place, f"too large: {size:,} bytes in all; at most {MAX_LINE_BYTES:,}"
            )

    def _check_id(self, place: Place, given_id: str) -> None:
        if self._with_ids is None:
            self._with_ids = bool(given_id)
        if self._with_ids != bool(given_id):
            found = (
                f"an id, {shown(given_id)}, but entries before have none" if given_id else "no id"
            )
            self._problems.add(place, f"{found}; give every entry an id, or none")
        elif not given_id:
            return
        elif len(given_id) > MAX_ID_CHARACTERS:
            self._problems.add(
                place, f"id of {len(given_id):,} characters; at most {MAX_ID_CHARACTERS}"
            )
        elif given_id in self._places_of_ids:
            first = self._places_of_ids[given_id]
            row = "row " if isinstance(first, int) else ""
            self._problems.add(
                place,
                f"duplicate id {shown(given_id)}, first used in {row}{first}; ids are unique."
                " Several questions of one answer belong into one entry",
            )
        else:
            self._places_of_ids[given_id] = place
