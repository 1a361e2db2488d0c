"""What the API answers about batches, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ENDED: Final = ("completed", "failed", "stopped")


@dataclass(frozen=True, slots=True)
class Records:
    """Lines of the input by what became of them; None is what nobody counted.

    Of the accepted ones the model embedded or failed on each. Blank lines are no records.
    """

    accepted: int | None
    rejected: int | None
    blank: int | None
    embedded: int | None
    failed: int | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a batch's instances cost, by a price table of that date."""

    amount: float
    currency: str
    instance_hours: float
    prices_as_of: str


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a batch: S3 URIs in the order of the input; `whole` is the API's JSON."""

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
    """How far a batch is.

    Attributes:
        status: `awaiting_upload`, `checking`, `transforming`, `gathering`, `completed`, `failed`
            or `stopped`; after stopping also `stopping`.
        report: once it has ended.
        urls: for an hour, where results can be fetched, by S3 URI; at most 100.
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
