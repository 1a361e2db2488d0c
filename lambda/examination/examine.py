"""Asks an endpoint its bake's probes and compares the answers with what the bake recorded."""

from __future__ import annotations

import logging
import struct
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Any

from examination.endpoint import Endpoint, EndpointError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """A query and its nearest entries, best first, as a bake recorded them.

    A bake without a corpus recorded the query's vector instead, at unit length.
    """

    bake_id: str
    query: str
    ids: Sequence[str] = ()
    scores: Sequence[float] = ()
    embedding: Sequence[float] | None = None

    @classmethod
    def read(cls, bake_id: str, recorded: Mapping[str, Any]) -> Probe:
        """A probe in a manifest."""
        if "embedding" in recorded:
            return cls(bake_id, recorded["query"], embedding=recorded["embedding"])
        return cls(bake_id, recorded["query"], recorded["ids"], recorded["scores"])

    def difference(self, found: Any, tolerance: float) -> str | None:
        """How an answer differs from what was recorded, in words; None if it agrees.

        Args:
            found: the hits, or the base64 of the vector's little-endian float32.
        """
        if self.embedding is not None:
            return self._difference_of_vectors(found, tolerance)
        return self._difference_of_hits(found, tolerance)

    def _difference_of_vectors(self, found: str, tolerance: float) -> str | None:
        assert self.embedding is not None
        numbers = [number for (number,) in struct.iter_unpack("<f", b64decode(found))]
        expected = self.embedding
        if len(numbers) != len(expected):
            return f"its vectors have {len(numbers)} numbers instead of {len(expected)}"
        cosine = sum(map(mul, numbers, expected))
        if cosine >= 1 - tolerance:  # never true of NaN
            return None
        return (
            f'for the query "{self._shown_query}" it computes another vector than bake'
            f" {self.bake_id} recorded (their cosine is {cosine:.4f})"
        )

    def _difference_of_hits(
        self, hits: Sequence[Mapping[str, Any]], tolerance: float
    ) -> str | None:
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
        return (
            f'for the query "{self._shown_query}" it finds {_listed(found)},'
            f" but bake {self.bake_id} recorded {_listed(recorded)}"
        )

    @property
    def _shown_query(self) -> str:
        return self.query if len(self.query) <= 80 else f"{self.query[:79]}…"


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
    device = str(manifest.get("device"))
    found.devices.add(device)
    recorded = manifest["probes"]
    if device.startswith("cuda"):
        # Of a bake in int8: only CPUs compute in it.
        recorded = manifest.get("float_probes", recorded)
    known[bake_id] = [Probe.read(bake_id, each) for each in recorded]
    if time.monotonic() > endpoint.give_up_at:
        return
    # Any of these bakes may answer next, so the questions of all of them are asked, in the mode
    # whose answer names its bake.
    probes = [probe for each in known.values() for probe in each]
    if not probes:
        raise EndpointError("the manifest of its bake has no probes")
    # A bake with a corpus and one without answer different modes, and refuse the other's. Of a
    # fleet that has both, one answer is enough.
    searched = [probe for probe in probes if probe.embedding is None]
    embedded = [probe for probe in probes if probe.embedding is not None]
    errors = []
    for kind in filter(None, (searched, embedded)):
        try:
            _ask(endpoint, kind, tolerance, known, found)
        except EndpointError as error:
            errors.append(error)
    if len(errors) == bool(searched) + bool(embedded):
        raise errors[0]


def _ask(
    endpoint: Endpoint,
    probes: Sequence[Probe],
    tolerance: float,
    known: Mapping[str, Sequence[Probe]],
    found: Examination,
) -> None:
    """Asks probes of one kind in one request, and judges the answer."""
    queries = list(dict.fromkeys(probe.query for probe in probes))
    are_embeddings = probes[0].embedding is not None
    request: dict[str, Any] = {"queries": queries, "mode": "queries"}
    if not are_embeddings:
        top_k = max(len(probe.ids) for probe in probes)
        request = {"queries": queries, "top_k": top_k, "mode": "search"}
    began = time.monotonic()
    answer = endpoint.ask(request)
    found.milliseconds.append((time.monotonic() - began) * 1000)
    bake_id = answer["bake_id"]
    answers = dict(zip(queries, answer["vectors" if are_embeddings else "results"], strict=True))
    found.met.add(bake_id)
    found.answered.add(bake_id)
    for probe in known.get(bake_id, ()):
        if (probe.embedding is not None) != are_embeddings:
            continue
        difference = probe.difference(answers[probe.query], tolerance)
        if difference:
            found.wrong.add(bake_id)
            found.problems.append(difference)
            break
