"""When a question gets no answer: what was found is too far from it, or too alike."""

from __future__ import annotations

from collections.abc import Sequence

from contract.margin import lead
from front_door.answers import EndpointHit

MARGIN_HITS = 10
"""Hits among which the margin is looked for."""


def is_answered(hits: Sequence[EndpointHit], min_score: float, margin: float) -> bool:
    """Whether the best of the hits, which stand best first, is good enough to be an answer.

    Args:
        min_score: what it has to score.
        margin: by how much it has to beat the next hit with another question.
    """
    if not hits or hits[0]["score"] < min_score:
        return False
    return lead([(hit["question"], hit["score"]) for hit in hits]) >= margin
