"""How well the deployed corpus answers questions whose right answers are known."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from faq_search.api import FaqSearch

DEPTH: Final = 10
# Small enough for the slowest model on a CPU to answer well within the API's time.
QUERIES_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the ids of the entries that answer it."""

    text: str
    right_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A question and the ids that came back, best first."""

    question: Question
    found_ids: tuple[str, ...]

    @property
    def rank(self) -> int | None:
        """Place of the first right id, from 1; None if it is not among the best ten."""
        for place, found in enumerate(self.found_ids, start=1):
            if found in self.question.right_ids:
                return place
        return None


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares between 0 and 1: right answer first, among the first three; mean reciprocal rank."""

    questions: int
    top_1: float
    top_3: float
    mrr_10: float


def read_paraphrases(path: Path, known_ids: frozenset[str]) -> list[Question]:
    """Questions in other words than the corpus, of a CSV file with the columns `question` and `id`.

    A question that several entries answer has a row for each. Raises ValueError, with file and
    row, for a missing column, an empty question, or an id that is not among `known_ids`.
    """
    right_ids: dict[str, set[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = {"question", "id"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path}:1: no column {' and '.join(sorted(missing))}")
        for row in rows:
            question, right = (row["question"] or "").strip(), (row["id"] or "").strip()
            if not question or right not in known_ids:
                found = f"the corpus has no id {right!r}" if question else "an empty question"
                raise ValueError(f"{path}:{rows.line_num}: {found}")
            right_ids.setdefault(question, set()).add(right)
    if not right_ids:
        raise ValueError(f"{path}: no questions")
    return [Question(text, frozenset(ids)) for text, ids in right_ids.items()]


def ask(
    api: FaqSearch, questions: Sequence[Question], asked: Callable[[int], None]
) -> list[Outcome]:
    """Asks all questions through the API; calls `asked` with the size of each finished batch."""
    outcomes = []
    for first in range(0, len(questions), QUERIES_AT_ONCE):
        batch = questions[first : first + QUERIES_AT_ONCE]
        found = api.search([question.text for question in batch], top_k=DEPTH)
        outcomes += [
            Outcome(question, tuple(hit.id for hit in hits))
            for question, hits in zip(batch, found.results, strict=True)
        ]
        asked(len(batch))
    return outcomes


def scores(outcomes: Sequence[Outcome]) -> Scores:
    """Top-1, top-3 and mean reciprocal rank (0 beyond the tenth place) of at least one outcome."""
    ranks = [outcome.rank for outcome in outcomes]
    return Scores(
        questions=len(ranks),
        top_1=sum(rank == 1 for rank in ranks) / len(ranks),
        top_3=sum(rank is not None and rank <= 3 for rank in ranks) / len(ranks),
        mrr_10=sum(1 / rank for rank in ranks if rank is not None) / len(ranks),
    )


def hardest(outcomes: Sequence[Outcome], most: int) -> list[Outcome]:
    """The questions whose right answer came last or not at all, without those it came first."""
    missed = [outcome for outcome in outcomes if outcome.rank != 1]
    return sorted(missed, key=lambda outcome: -(outcome.rank or DEPTH + 1))[:most]
