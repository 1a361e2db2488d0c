"""How far a search's best hit is ahead: the front door withholds by it, evaluation measures it."""

from __future__ import annotations

import math
from collections.abc import Sequence


def lead(hits: Sequence[tuple[str | None, float]]) -> float:
    """The best score less that of the next hit with another question; infinite without one.

    Args:
        hits: question and score of each, best first; at least one.
    """
    question, score = hits[0]
    others = (other for asked, other in hits[1:] if asked is None or asked != question)
    return score - next(others, -math.inf)
