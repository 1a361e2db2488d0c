"""Asks an endpoint its bake's probes and compares the answers with what the bake recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from examination.endpoint import Endpoint, EndpointError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """A query and its nearest entries, best first, as a bake recorded them."""

    bake_id: str
    query: str
    ids: Sequence[str]
    scores: Sequence[float]

    def difference(self, hits: Sequence[Mapping[str, Any]], tolerance: float) -> str | None:
        """How the hits of an endpoint differ from the recorded ones, in words; None if they agree.

        Entries whose scores are equal within the tolerance may come in any order, and where such
        a tie reaches beyond the last place, any of them may take it.
        """
        found = [(str(hit["id"]), float(hit["score"])) for hit in hits[: len(self.ids)]]
        recorded = list(zip(map(str, self.ids), map(float, self.scores), strict=True))
        score_of = dict(recorded)

        def is_near(score: float, expected: float) -> bool:
            return abs(score - expected) <= tolerance  # never true of NaN

        same_scores = len(found) == len(recorded) and all(
            is_near(score, expected)
            for (_, score), (_, expected) in zip(found, recorded, strict=True)
        )
        same_entries = len({entry for entry, _ in found}) == len(found) and all(
            is_near(score, score_of.get(entry, recorded[-1][1])) for entry, score in found
        )
        if same_scores and same_entries:
            return None
        query = self.query if len(self.query) <= 80 else f"{self.query[:79]}…"
        return (
            f'for the query "{query}" it finds {_listed(found)},'
            f" but bake {self.bake_id} recorded {_listed(recorded)}"
        )


def _listed(hits: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{entry} ({score:.4f})" for entry, score in hits) or "nothing"


@dataclass
class Examination:
    """What one or more rounds of questions showed.

    While an endpoint is updated, its old and new instances answer side by side. Each answer names
    its bake, so a wrong one counts against that bake. A failed request names none: it counts
    against every bake that was met but answered no question in any round.

    Attributes:
        problems: what was wrong, in words.
        milliseconds: how long each answered question took.
        met: bakes that the endpoint said it serves.
        devices: what it said it computes on, e.g. "cpu" or "cuda (NVIDIA A10G)".
        answered, wrong: bakes that answered a question, and that answered one wrong.
        unanswered: whether a request failed.
    """

    problems: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    met: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    unanswered: bool = False

    @property
    def failed(self) -> bool:
        return self.unanswered or bool(self.wrong)

    def by_bake(self) -> dict[str, bool]:
        """Whether each bake that was met failed."""
        return {
            bake: bake in self.wrong or (self.unanswered and bake not in self.answered)
            for bake in sorted(self.met)
        }


def examine(
    endpoint: Endpoint,
    tolerance: float,
    *,
    rounds: int = 1,
    known: dict[str, list[Probe]] | None = None,
) -> Examination:
    """Asks the endpoint which bake it serves and what that bake's probes ask.

    Args:
        tolerance: how far a score may be from the recorded one.
        rounds: how often to ask; fewer times if the time runs out.
        known: probes by bake from earlier examinations, updated to the bakes met in this one.
    """
    found = Examination()
    known = {} if known is None else known
    for number in range(rounds):
        if number and time.monotonic() > endpoint.give_up_at:
            logger.warning(
                "Endpoint %s: only %d of %d rounds fit the time", endpoint.name, number, rounds
            )
            break
        try:
            _round(endpoint, tolerance, known, found)
        except EndpointError as error:
            found.problems.append(str(error))
            found.unanswered = True
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            found.problems.append(f"a malformed answer: {error!r}")
            found.unanswered = True
    if found.met:
        for bake_id in known.keys() - found.met:
            del known[bake_id]
    return found


def _round(
    endpoint: Endpoint, tolerance: float, known: dict[str, list[Probe]], found: Examination
) -> None:
    manifest = endpoint.ask({"mode": "info"})
    bake_id = manifest["bake_id"]
    found.met.add(bake_id)
    found.devices.add(str(manifest.get("device")))
    known[bake_id] = [
        Probe(bake_id, each["query"], each["ids"], each["scores"]) for each in manifest["probes"]
    ]
    if time.monotonic() > endpoint.give_up_at:
        return
    # Any of these bakes may answer next, so the questions of all of them are asked, in the mode
    # whose answer names its bake.
    probes = [probe for each in known.values() for probe in each]
    if not probes:
        raise EndpointError("the manifest of its bake has no probes")
    queries = list(dict.fromkeys(probe.query for probe in probes))
    began = time.monotonic()
    answer = endpoint.ask(
        {"queries": queries, "top_k": max(len(probe.ids) for probe in probes), "mode": "search"}
    )
    found.milliseconds.append((time.monotonic() - began) * 1000)
    bake_id = answer["bake_id"]
    hits = dict(zip(queries, answer["results"], strict=True))
    found.met.add(bake_id)
    found.answered.add(bake_id)
    for probe in known.get(bake_id, ()):
        difference = probe.difference(hits[probe.query], tolerance)
        if difference:
            found.wrong.add(bake_id)
            found.problems.append(difference)
            break
