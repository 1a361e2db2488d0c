"""What is doubtful in the entries of a corpus: warnings for a person to look at."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable

from corpus.entry import Entry
from corpus.errors import Place, Problems, shown
from corpus.headers import squeezed
from corpus.language import Languages
from corpus.markup import plain_text
from corpus.model import Model

__all__ = ["Checks", "Model"]

_PLACEHOLDER = """
null; none; nil; nan; na; n/a; #n/a; #ref!; #value!; #name?; #div/0!; tbd; tba; to do; todo
to be done; xxx; ???; undefined; [object object]; lorem ipsum
"""
_PLACEHOLDERS = frozenset(each.strip() for each in _PLACEHOLDER.replace("\n", ";").split(";")) - {
    ""
}
_COUNTED = 1000
"""Texts whose tokens are counted, the longest ones."""
_ASKING = ("?", "？", "؟")
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
# UTF-8 that was read as cp1252 or Latin-1 once; and what a decoder puts where it could not read.
_MOJIBAKE = re.compile(r"\u00c3[\u0080-\u00bf\u0192\u02c6\u2013-\u203a\u20ac]|\u00e2\u20ac.|\ufffd")


class Checks:
    """Looks at each entry of a file; warnings go into `problems`.

    Memory grows with the entries, by some 200 bytes each.

    Args:
        model: what will read the texts.
    """

    def __init__(self, problems: Problems, model: Model) -> None:
        self._problems = problems
        self._model = model
        self._languages = Languages(problems, model)
        self._questions: dict[int, tuple[Place, int]] = {}
        self._answers: dict[int, Place] = {}
        self._longest: list[tuple[int, int, Place, str, str]] = []
        self._entries = self._asking_questions = self._asking_answers = 0
        self._long = self._uncounted = 0

    def add(self, place: Place, entry: Entry) -> None:
        """Looks at one entry."""
        answer = plain_text(entry.answer)
        questions = [plain_text(question) for question in entry.questions]
        self._entries += 1
        self._asking_questions += bool(questions) and questions[0].rstrip().endswith(_ASKING)
        self._asking_answers += answer.rstrip().endswith(_ASKING)
        self._check_repeated(place, entry)
        self._check_answer(place, entry.answer, answer)
        self._languages.add(place, " ".join([*questions[:1], answer]))
        self._check_length(place, "answer", answer)
        for question in questions:
            self._check_length(place, "question", question)

    def finish(self) -> None:
        """Looks at the entries as a whole."""
        many = self._entries >= 3 and self._asking_answers >= 0.8 * self._entries
        if many and self._asking_questions <= 0.2 * self._entries:
            self._problems.warn(
                "columns",
                None,
                "the answers end with a question mark and the questions do not: are the columns"
                " exchanged? A header, or --map question=… --map answer=…, settles it",
            )
        self._languages.finish()
        self._count_tokens()
        if self._uncounted:
            self._problems.notes.append(
                f"{self._uncounted:,} texts may have more than the {self._model.max_tokens} tokens"
                f" that {self._model.name} reads; its tokenizer is not on this machine"
                " (--tokenizer tokenizer.json)"
            )

    def _check_repeated(self, place: Place, entry: Entry) -> None:
        answer = hash(entry.answer.strip())
        same_answer = self._answers.setdefault(answer, place)
        for question in entry.questions:
            key = hash(squeezed(question) or question)
            earlier, its_answer = self._questions.setdefault(key, (place, answer))
            if earlier == place:
                continue
            if its_answer == answer:
                self._warn_once(
                    "repeated entries", place, "the question and answer", earlier, question
                )
            else:
                self._problems.warn(
                    "questions with several answers",
                    place,
                    f"the question {shown(question)} stands in {_row(earlier)} with another answer",
                )
            return
        if same_answer != place:
            self._warn_once("repeated answers", place, "the answer", same_answer, entry.answer)

    def _warn_once(self, kind: str, place: Place, what: str, earlier: Place, text: str) -> None:
        self._problems.warn(kind, place, f"{what} of {_row(earlier)} again: {shown(text)}")

    def _check_answer(self, place: Place, answer: str, plain: str) -> None:
        found: Callable[[str, str], None] = lambda kind, what: self._problems.warn(  # noqa: E731
            kind, place, f"{what}: {shown(answer)}"
        )
        if plain.strip().lower() in _PLACEHOLDERS:
            found("answers that are placeholders", "the answer looks like a placeholder")
        elif not any(character.isalpha() for character in plain):
            found("answers without a letter", "the answer has no letter")
        if not answer.isascii() and _MOJIBAKE.search(plain):
            found("texts in a wrong encoding", "the answer was read in a wrong encoding once")
        if not answer.isprintable() and _CONTROL.search(answer):
            found("answers with control characters", "the answer has control characters")

    def _check_length(self, place: Place, name: str, text: str) -> None:
        """Remembers the longest texts: counting all tokens of a large corpus takes minutes."""
        model = self._model
        if len(text) + len(model.passage_prefix) <= model.max_tokens - 2:
            return  # a token has at least one character
        if not model.can_count:
            self._uncounted += 1
            return
        self._long += 1
        candidate = (len(text), -self._long, place, name, text)
        if len(self._longest) < _COUNTED:
            heapq.heappush(self._longest, candidate)
        else:
            heapq.heappushpop(self._longest, candidate)

    def _count_tokens(self) -> None:
        model = self._model
        in_order = sorted(self._longest, key=lambda candidate: -candidate[1])
        counts = model.count_tokens([text for *_, text in in_order])
        for (*_, place, name, text), count in zip(in_order, counts, strict=True):
            if count > model.max_tokens:
                self._problems.warn(
                    "texts that are longer than the model reads",
                    place,
                    f"the {name} has {count:,} tokens, and {model.name} reads"
                    f" {model.max_tokens:,} of a text: {shown(text)}",
                )


def _row(place: Place) -> str:
    return f"row {place}" if isinstance(place, int) else str(place)
