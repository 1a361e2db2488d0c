"""The shapes of the batch answers, from which the OpenAPI document is generated."""

from __future__ import annotations

from typing import Literal, NotRequired

# pydantic reads TypedDicts of Python 3.11 only from typing_extensions.
from typing_extensions import TypedDict

Status = Literal[
    "awaiting_upload",
    "checking",
    "transforming",
    "gathering",
    "completed",
    "failed",
    "stopped",
]


class Upload(TypedDict):
    """A URL for the file: one request of up to 5 GB, started before `expires_at`."""

    url: str
    method: Literal["PUT"]
    headers: dict[str, str]
    expires_at: str


class BatchStarted(TypedDict):
    """The requested batch, or the existing one with the same token."""

    batch_id: str
    status: Status
    upload: NotRequired[Upload]
    request_id: str


class ReportInput(TypedDict):
    """The file, as it was when the batch started if its bucket keeps versions."""

    s3_uri: str
    version_id: str | None
    bytes: int
    lines: int | None


class ReportRecords(TypedDict):
    """Lines of the input: accepted, rejected or blank; records: embedded or failed.

    Null means not counted, because the batch ended earlier.
    """

    accepted: int | None
    rejected: int | None
    blank: int | None
    embedded: int | None
    failed: int | None


class ReportDeployment(TypedDict):
    """The model that did the work."""

    bake_id: str
    model_id: str
    model_version: str
    dimension: int


class ReportJob(TypedDict):
    """The SageMaker transform job."""

    name: str
    instance_type: str
    instance_count: int
    seconds: int | None


class CostEstimate(TypedDict):
    """What the instances cost, by the price table of that date."""

    currency: str
    amount: float
    instance_hours: float
    price_per_hour: float
    prices_as_of: str


class BatchReport(TypedDict):
    """The outcome of a batch. Output and rejects are S3 URIs in the order of the input."""

    batch_id: str
    status: Literal["completed", "failed", "stopped"]
    reason: NotRequired[str]
    input: ReportInput
    records: ReportRecords
    rejects: list[str]
    output: list[str]
    merged: str | None
    deployment: ReportDeployment | None
    transform_job: ReportJob | None
    started_at: str
    ended_at: str
    seconds: int
    cost_estimate: CostEstimate | None


class Download(TypedDict):
    """A result and a URL that works for an hour."""

    s3_uri: str
    url: str


class BatchAnswer(TypedDict):
    """A batch, with its report and downloads once it has ended."""

    batch_id: str
    status: Status
    report: NotRequired[BatchReport]
    downloads: NotRequired[list[Download]]
    request_id: str


class BatchStopped(TypedDict):
    """A batch that is being stopped, or that has already ended or nearly so."""

    batch_id: str
    status: Literal["stopping", "gathering", "completed", "failed", "stopped"]
    request_id: str
