"""What the API answers, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ENDED: Final = ("completed", "failed", "stopped")
"""The last states of a batch."""


@dataclass(frozen=True, slots=True)
class FailedOver:
    """An endpoint that did not answer, and why (`throttled`, `time_out` …)."""

    instance_type: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServedBy:
    """The endpoint that answered, and those that were tried before it."""

    instance_type: str
    failed_over_from: tuple[FailedOver, ...]

    @classmethod
    def from_json(cls, served_by: Mapping[str, Any]) -> ServedBy:
        """From the API's `served_by`."""
        return cls(
            served_by["instance_type"],
            tuple(
                FailedOver(failed["instance_type"], failed["reason"])
                for failed in served_by["failed_over_from"]
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Part of every answer of an endpoint.

    `timing` is measured by the server, in milliseconds: `model` waiting for the endpoint,
    `front_door` everything else in the Lambda function.
    """

    served_by: ServedBy
    request_id: str
    timing: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Embeddings(Answered):
    """One embedding for each text, in their order."""

    embeddings: list[list[float]]


@dataclass(frozen=True, slots=True)
class NearestHit:
    """An entry of the caller's own corpus: its position from 0, and its cosine similarity."""

    corpus_id: int
    score: float


@dataclass(frozen=True, slots=True)
class Nearest(Answered):
    """For each query its hits, best first."""

    results: list[list[NearestHit]]


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry of the deployed corpus and its score.

    An entry may have no question; a corpus that was baked without its texts has no answers either.
    `passage` is the part of a long answer that matched best; `fields` what else the corpus says.
    """

    id: str
    question: str | None
    answer: str | None
    score: float
    passage: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, hit: Mapping[str, Any]) -> Hit:
        """From a hit of the API; earlier versions of it have no passages or fields."""
        return cls(
            hit["id"],
            hit["question"],
            hit["answer"],
            hit["score"],
            hit.get("passage"),
            hit.get("fields", {}),
        )


@dataclass(frozen=True, slots=True)
class SearchResults(Answered):
    """For each query its hits, best first, and the bake that the answering endpoint serves."""

    results: list[list[Hit]]
    bake_id: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployed endpoint."""

    instance_type: str
    endpoint_name: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is deployed; `serving` is `on` or `off`: whether its endpoints are switched on."""

    endpoints: tuple[Endpoint, ...]
    model_id: str
    model_version: str
    dimension: int
    corpus_sha256: str
    bake_id: str
    serving: str
    request_id: str


@dataclass(frozen=True, slots=True)
class HealthLine:
    """One endpoint: `ok`, `other_bake` or the reason it does not answer; the bake it serves."""

    instance_type: str
    status: str
    bake_id: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether any endpoint serves the deployed bake, and a line for each.

    `switched_off`: somebody, or the schedule, has switched the endpoints off.
    """

    ok: bool
    switched_off: bool
    bake_id: str
    endpoints: tuple[HealthLine, ...]
    request_id: str


@dataclass(frozen=True, slots=True)
class Records:
    """Counts of the input's lines by their outcome; None where nothing was counted.

    The model embedded or failed on each accepted one. Blank lines are not records.
    """

    accepted: int | None
    rejected: int | None
    blank: int | None
    embedded: int | None
    failed: int | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a batch's instances cost, by the price table of that date."""

    amount: float
    currency: str
    instance_hours: float
    prices_as_of: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a batch: S3 URIs in the order of the input; `whole` is the API's JSON."""

    status: str
    reason: str | None
    records: Records
    output: tuple[str, ...]
    rejects: tuple[str, ...]
    merged: str | None
    seconds: float
    cost: Cost | None
    whole: Mapping[str, Any]

    @classmethod
    def from_json(cls, report: Mapping[str, Any]) -> Report:
        """From the API's `report`."""
        cost = report["cost_estimate"]
        return cls(
            report["status"],
            report.get("reason"),
            Records(**report["records"]),
            tuple(report["output"]),
            tuple(report["rejects"]),
            report["merged"],
            report["seconds"],
            cost
            and Cost(
                cost["amount"], cost["currency"], cost["instance_hours"], cost["prices_as_of"]
            ),
            report,
        )


@dataclass(frozen=True, slots=True)
class BatchState:
    """The state of a batch.

    Attributes:
        status: `awaiting_upload`, `checking`, `transforming`, `gathering`, `completed`, `failed`
            or `stopped`; after stopping also `stopping`.
        report: once it has ended.
        urls: where results can be fetched for an hour, by S3 URI; at most 100.
    """

    batch_id: str
    status: str
    report: Report | None
    urls: Mapping[str, str]
    request_id: str

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> BatchState:
        """From the API's answer."""
        report = answer.get("report")
        return cls(
            answer["batch_id"],
            answer["status"],
            Report.from_json(report) if report else None,
            {one["s3_uri"]: one["url"] for one in answer.get("downloads", ())},
            answer["request_id"],
        )
