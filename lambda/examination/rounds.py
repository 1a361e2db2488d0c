"""Several rounds of questions to one endpoint, and which bake is to blame for what went wrong."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from examination.endpoint import Endpoint, EndpointError
from examination.probes import Probe, difference, probes_of

_log = logging.getLogger(__name__)


@dataclass
class Examination:
    """What the rounds showed.

    While an endpoint is updated, its old and its new instances answer side by side. Each answer
    names its bake, so a wrong one is put down to that. A request without an answer names none: it
    is put down to every bake that was met and answered no question in any round.

    Attributes:
        faults: sentences; none where all went well.
        milliseconds: of each question that was answered.
        met: bakes that said they are served.
        answered, wrong: bakes that answered a question, and that answered one wrong.
        unanswered: whether a request got no answer.
    """

    faults: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    met: set[str] = field(default_factory=set)
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
    endpoint: Endpoint, known: dict[str, list[Probe]], tolerance: float, rounds: int
) -> Examination:
    """Ask the endpoint which bake it serves and what that bake's probes ask, several times over.

    Args:
        known: probes by bake; bakes that are met are added, those that are not are removed.
        tolerance: how far a score may be from the bake's.
        rounds: at most; fewer where the time runs out.
    """
    found = Examination()
    for number in range(rounds):
        if number and time.monotonic() > endpoint.give_up_at:
            _log.warning("Endpoint %s: %d of %d rounds done in time", endpoint.name, number, rounds)
            break
        try:
            _round(endpoint, known, tolerance, found)
        except EndpointError as error:
            found.faults.append(f"no answer: {error}")
            found.unanswered = True
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            found.faults.append(f"an answer that is not as agreed: {error!r}")
            found.unanswered = True
    if found.met:
        for bake_id in known.keys() - found.met:
            del known[bake_id]
    return found


def _round(
    endpoint: Endpoint, known: dict[str, list[Probe]], tolerance: float, found: Examination
) -> None:
    manifest: Any = endpoint.ask({"mode": "info"})
    bake_id = manifest["bake_id"]
    found.met.add(bake_id)
    known[bake_id] = probes_of(manifest)
    if time.monotonic() > endpoint.give_up_at:
        return
    # Who will answer is not known, so all the bakes' questions are asked; mode search, because
    # its answer names the bake.
    probes = [probe for each in known.values() for probe in each]
    if not probes:
        raise EndpointError("the manifest of its bake has no probes")
    queries = list(dict.fromkeys(probe.query for probe in probes))
    began = time.monotonic()
    answer: Any = endpoint.ask(
        {
            "queries": queries,
            "top_k": max(len(probe.ids) for probe in probes),
            "mode": "search",
        }
    )
    found.milliseconds.append((time.monotonic() - began) * 1000)
    bake_id = answer["bake_id"]
    hits = dict(zip(queries, answer["results"], strict=True))
    found.met.add(bake_id)
    found.answered.add(bake_id)
    for probe in known.get(bake_id, ()):
        fault = difference(probe, hits[probe.query], tolerance)
        if fault:
            found.wrong.add(bake_id)
            found.faults.append(f"{fault} (bake {bake_id})")
            break
