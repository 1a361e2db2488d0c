"""One finished bake, as its marker `bake.json` tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_REQUIRED = ("bake_id", "model_data_url", "training_job_name")
_TOLD = ("model_id", "model_version", "dimension", "embed", "corpus_sha256")


@dataclass(frozen=True, slots=True)
class Bake:
    """One finished bake.

    Attributes:
        facts: what else its marker tells: model_id, model_version, dimension, embed,
            corpus_sha256, corpus_file, entries (where known) and baked_at. Markers of earlier
            versions of this app lack them.
        written_at: when the marker was written, where it was read.
    """

    bake_id: str
    model_data_url: str
    training_job_name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    written_at: datetime | None = None

    @classmethod
    def from_json(cls, body: bytes, written_at: datetime | None = None) -> Bake:
        """Raises ValueError for what is no marker."""
        marker = json.loads(body)
        if not isinstance(marker, dict):
            raise ValueError("a marker is a JSON object")
        bake_id, url, job = (marker.pop(name, None) for name in _REQUIRED)
        if not (isinstance(bake_id, str) and isinstance(url, str) and isinstance(job, str)):
            raise ValueError(f"a marker has {', '.join(_REQUIRED)}")
        return cls(bake_id, url, job, marker, written_at)

    def to_json(self) -> bytes:
        """The marker."""
        return json.dumps({**{n: getattr(self, n) for n in _REQUIRED}, **self.facts}).encode()

    def attributes(self) -> dict[str, str]:
        """What templates read with Fn::GetAtt."""
        return {
            "ModelDataUrl": self.model_data_url,
            "TrainingJobName": self.training_job_name,
        }

    def differences(self, properties: Mapping[str, Any]) -> list[str]:
        """Where the marker contradicts what the custom resource takes this bake for."""
        asked = facts_of(properties)
        return [
            f"{name} is {self.facts[name]!r}, not {asked[name]!r}"
            for name in _TOLD
            if name in self.facts and name in asked and self.facts[name] != asked[name]
        ]


def facts_of(properties: Mapping[str, Any], baked_at: datetime | None = None) -> dict[str, Any]:
    """What the custom resource's properties say about its bake.

    Args:
        properties: of the request; CloudFormation has made strings of its numbers.
        baked_at: default now.
    """
    told = properties["TrainingJob"].get("HyperParameters", {})
    facts: dict[str, Any] = {name: told[name] for name in _TOLD if name in told}
    if "dimension" in facts:
        facts["dimension"] = int(facts["dimension"])
    corpus = properties.get("Corpus", {})
    if "FileName" in corpus:
        facts["corpus_file"] = corpus["FileName"]
    if "Entries" in corpus:
        facts["entries"] = int(corpus["Entries"])
    moment = baked_at or datetime.now(UTC)
    facts["baked_at"] = moment.astimezone(UTC).isoformat(timespec="seconds")
    return facts
