"""Compares what an endpoint answers with what the bake recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Probe:
    """A query and its nearest entries, best first, as the bake found them."""

    query: str
    ids: Sequence[str]
    scores: Sequence[float]


def probes_of(manifest: Mapping[str, Any]) -> list[Probe]:
    """The probes in a manifest, as an endpoint tells it in mode info.

    Raises:
        KeyError, TypeError: it is no manifest.
    """
    return [Probe(each["query"], each["ids"], each["scores"]) for each in manifest["probes"]]


def difference(probe: Probe, hits: Sequence[dict[str, Any]], tolerance: float) -> str | None:
    """How an answer differs from its probe, in words; None where it does not.

    Entries with the same score, within the tolerance, may stand in any order, and where such
    a tie reaches over the last place, either entry may hold it.

    Args:
        probe: what the bake recorded.
        hits: what the endpoint found, best first, each with id and score.
        tolerance: how far a score may be from the recorded one.
    """
    found = [(str(hit["id"]), float(hit["score"])) for hit in hits[: len(probe.ids)]]
    wanted = list(zip(map(str, probe.ids), map(float, probe.scores), strict=True))
    recorded = dict(wanted)
    same_scores = len(found) == len(wanted) and all(
        _near(score, expected, tolerance)
        for (_, score), (_, expected) in zip(found, wanted, strict=True)
    )
    same_entries = len({entry for entry, _ in found}) == len(found) and all(
        _near(score, recorded.get(entry, wanted[-1][1]), tolerance) for entry, score in found
    )
    if same_scores and same_entries:
        return None
    return (
        f'for the query "{_short(probe.query)}" it finds {_listed(found)}, '
        f"but the bake found {_listed(wanted)}"
    )


def _near(score: float, expected: float, tolerance: float) -> bool:
    # Not the negation: a NaN is never near.
    return abs(score - expected) <= tolerance


def _listed(hits: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{entry} ({score:.4f})" for entry, score in hits) or "nothing"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
