"""When a question gets no answer: what was found is too far from it, or too alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from front_door.answers import EndpointHit

MARGIN_HITS = 10
"""Hits among which the margin is looked for."""


def is_answered(hits: Sequence[EndpointHit], min_score: float, margin: float) -> bool:
    """Whether the best of the hits, which stand best first, is good enough to be an answer.

    Args:
        min_score: what it has to score.
        margin: by how much it has to beat the next hit with another question.
    """
    return bool(hits) and hits[0]["score"] >= min_score and _margin(hits) >= margin


def _margin(hits: Sequence[EndpointHit]) -> float:
    """How far the best hit is ahead of the next one with another question, if there is one."""
    best = hits[0]
    others = (
        hit["score"]
        for hit in hits[1:]
        if hit["question"] is None or hit["question"] != best["question"]
    )
    return best["score"] - next(others, -math.inf)
