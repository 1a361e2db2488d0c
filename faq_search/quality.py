"""How well the deployed corpus answers questions whose right answers are known."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contract.margin import lead
from faq_search.errors import InputError

if TYPE_CHECKING:
    from faq_search.api import FaqSearch

DEPTH: Final = 10
# Small enough for the slowest model on a CPU to answer well within the API's time.
QUERIES_AT_ONCE: Final = 16
DRAWS: Final = 2000
MARGINS: Final = (0.01, 0.02, 0.03, 0.05, 0.08, 0.1)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the ids of the entries that answer it."""

    text: str
    right_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A question and what came back, best first.

    Attributes:
        hits: id, question and score of each.
    """

    question: Question
    hits: tuple[tuple[str, str | None, float], ...]

    @property
    def found_ids(self) -> tuple[str, ...]:
        return tuple(found for found, _, _ in self.hits)

    def first(self, *, without_right: bool = False) -> tuple[bool, float, float] | None:
        """Whether the first hit is right, its score, and how far it is ahead; None without a hit.

        It is compared with the next hit with another question, as for the API's `margin`.

        Args:
            without_right: as if the entries that answer the question were missing.
        """
        hits = [hit for hit in self.hits if not (without_right and self._is_right(hit[0]))]
        if not hits:
            return None
        best, _, score = hits[0]
        return self._is_right(best), score, lead([(asked, other) for _, asked, other in hits])

    def _is_right(self, found: str) -> bool:
        return found in self.question.right_ids

    @property
    def rank(self) -> int | None:
        """Place of the first right id, from 1; None if it is not among the best ten."""
        for place, found in enumerate(self.found_ids, start=1):
            if self._is_right(found):
                return place
        return None


Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares between 0 and 1: right answer first, among the first three; mean reciprocal rank.

    Each with its 95 % interval: where it lies if other questions of the kind had been asked.
    """

    questions: int
    top_1: float
    top_3: float
    mrr_10: float
    top_1_interval: Interval
    top_3_interval: Interval
    mrr_10_interval: Interval


@dataclass(frozen=True, slots=True)
class Withholding:
    """Shares of questions with a limit: answered right or wrong, or withheld.

    `without_entry`: answered though the entries that answer them are missing. It is simulated by
    leaving their hits out, with the questions that have other hits.
    """

    limit: float
    right: float
    wrong: float
    withheld: float
    without_entry: float


def read_paraphrases(path: Path, known_ids: frozenset[str]) -> list[Question]:
    """Questions in other words than the corpus, of a CSV file with the columns `question` and `id`.

    A question that several entries answer has a row for each. Raises InputError, with file and
    row, for a missing column, an empty question, or an id that is not among `known_ids`.
    """
    right_ids: dict[str, set[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = {"question", "id"} - set(rows.fieldnames or ())
        if missing:
            raise InputError(f"{path}:1: no column {' and '.join(sorted(missing))}")
        for row in rows:
            question, right = (row["question"] or "").strip(), (row["id"] or "").strip()
            if not question or right not in known_ids:
                found = f"the corpus has no id {right!r}" if question else "an empty question"
                raise InputError(f"{path}:{rows.line_num}: {found}")
            right_ids.setdefault(question, set()).add(right)
    if not right_ids:
        raise InputError(f"{path}: no questions")
    return [Question(text, frozenset(ids)) for text, ids in right_ids.items()]


def ask(
    api: FaqSearch, questions: Sequence[Question], asked: Callable[[int, int], None]
) -> list[Outcome]:
    """Asks all questions through the API; calls `asked` with how many so far, and of all."""
    outcomes = []
    for first in range(0, len(questions), QUERIES_AT_ONCE):
        batch = questions[first : first + QUERIES_AT_ONCE]
        texts = [question.text for question in batch]
        # The stage's own limits would withhold what the curve is to show.
        found = api.search(texts, top_k=DEPTH, min_score=-1, margin=0)
        outcomes += [
            Outcome(question, tuple((hit.id, hit.question, hit.score) for hit in hits))
            for question, hits in zip(batch, found.results, strict=True)
        ]
        asked(len(outcomes), len(questions))
    return outcomes


def scores(outcomes: Sequence[Outcome]) -> Scores:
    """Top-1, top-3 and mean reciprocal rank (0 beyond the tenth place) of at least one outcome."""
    ranks = [outcome.rank for outcome in outcomes]
    first = [float(rank == 1) for rank in ranks]
    third = [float(rank is not None and rank <= 3) for rank in ranks]
    reciprocal = [1 / rank if rank else 0.0 for rank in ranks]
    return Scores(
        questions=len(ranks),
        top_1=sum(first) / len(ranks),
        top_3=sum(third) / len(ranks),
        mrr_10=sum(reciprocal) / len(ranks),
        top_1_interval=_interval(first),
        top_3_interval=_interval(third),
        mrr_10_interval=_interval(reciprocal),
    )


def _interval(values: Sequence[float]) -> Interval:
    """The middle 95 % of the means of samples drawn from the values with replacement."""
    draw = random.Random(7)  # noqa: S311 - not for secrets; the same values, the same interval
    count = len(values)
    means = sorted(sum(draw.choices(values, k=count)) / count for _ in range(DRAWS))
    return means[int(0.025 * DRAWS)], means[int(0.975 * DRAWS)]


def by_min_score(outcomes: Sequence[Outcome]) -> list[Withholding]:
    """What each `min_score` would do, from the last that does nothing to the last that helps."""
    rows = [_withholding(outcomes, step / 20, 0.0) for step in range(21)]
    idle = [
        row
        for row in rows
        if (row.withheld, row.without_entry) == (rows[0].withheld, rows[0].without_entry)
    ]
    return [row for row in rows if row.right and row.limit >= idle[-1].limit]


def by_margin(outcomes: Sequence[Outcome]) -> list[Withholding]:
    """What each `margin` would do, without a `min_score`."""
    return [_withholding(outcomes, -math.inf, margin) for margin in MARGINS]


def _withholding(outcomes: Sequence[Outcome], min_score: float, margin: float) -> Withholding:
    def kept(hit: tuple[bool, float, float]) -> bool:
        return hit[1] >= min_score and hit[2] >= margin

    first = [hit for outcome in outcomes if (hit := outcome.first()) and kept(hit)]
    right, count = sum(hit[0] for hit in first), len(outcomes)
    missing = [hit for outcome in outcomes if (hit := outcome.first(without_right=True))]
    return Withholding(
        margin or min_score,
        right / count,
        (len(first) - right) / count,
        (count - len(first)) / count,
        sum(map(kept, missing)) / max(len(missing), 1),
    )


def hardest(outcomes: Sequence[Outcome], most: int) -> list[Outcome]:
    """The questions whose right answer came last or not at all, without those it came first."""
    missed = [outcome for outcome in outcomes if outcome.rank != 1]
    return sorted(missed, key=lambda outcome: -(outcome.rank or DEPTH + 1))[:most]
