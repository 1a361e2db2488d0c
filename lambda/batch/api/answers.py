"""The shapes of the answers about batches; the OpenAPI document is made from them too."""

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
    """A URL that takes the file: one request, up to 5 GB, begun before `expires_at`."""

    url: str
    method: Literal["PUT"]
    headers: dict[str, str]
    expires_at: str


class BatchStarted(TypedDict):
    """The batch that was asked for; the one of the same token if there was one."""

    batch_id: str
    status: Status
    upload: NotRequired[Upload]
    request_id: str


class ReportInput(TypedDict):
    """The file: as it was when the batch began, where its bucket keeps versions."""

    s3_uri: str
    version_id: str | None
    bytes: int
    lines: int | None


class ReportRecords(TypedDict):
    """Lines of the input: accepted, rejected or blank; records: embedded or failed.

    Null is what nobody counted, since the batch ended before.
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
    """What the instances cost, by a price table of that date."""

    currency: str
    amount: float
    instance_hours: float
    price_per_hour: float
    prices_as_of: str


class BatchReport(TypedDict):
    """What became of a batch. Output and rejects are S3 URIs in the order of the input."""

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
    """A result and a URL that gives it for an hour."""

    s3_uri: str
    url: str


class BatchAnswer(TypedDict):
    """A batch; with its report and downloads once it has ended."""

    batch_id: str
    status: Status
    report: NotRequired[BatchReport]
    downloads: NotRequired[list[Download]]
    request_id: str


class BatchStopped(TypedDict):
    """A batch that is being stopped, or that had ended or nearly so already."""

    batch_id: str
    status: Literal["stopping", "gathering", "completed", "failed", "stopped"]
    request_id: str
