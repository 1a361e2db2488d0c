"""The report: what a batch was given, what it gave or why not, how long it took, what it cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from batch.steps.objects import Output
from causes import because, reason_of
from contract.batch_objects import merged_key, rejects_key, report_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Status = Literal["completed", "failed", "stopped"]

_DISK_HINT = (
    "The disk of an instance is full. A transform job's disk has no size to set, as a bake's has in"
    " bake.volume_size_gb: choose a batch.instance_type with more storage, or send smaller files."
)
_EXISTS = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a batch ended.

    Attributes:
        reason: a sentence; None if there is nothing to explain.
        embedded, failed: records with a vector, and with an error instead; None if not counted.
        is_merged: whether the outputs are in one file as well.
    """

    status: Status
    reason: str | None
    embedded: int | None = None
    failed: int | None = None
    is_merged: bool = False


class Reports:
    """Writes reports to the batch bucket. A batch that has one has ended.

    Args:
        price: per_hour of one instance, currency and as_of; None if unknown.
    """

    def __init__(self, s3: S3Client, bucket: str, price: Mapping[str, Any] | None) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._price = price

    def write(
        self,
        event: Mapping[str, Any],
        outcome: Outcome,
        outputs: Iterable[Output],
        *,
        replace: bool = True,
    ) -> None:
        """Writes the report of a batch that has just ended.

        Args:
            event: with batch, and as far as the batch got: cursor, transform_job, deployment, job.
            outputs: what the transform job wrote, in order.
            replace: whether to replace a report that is there.
        """
        report = self._make(event, outcome, outputs, datetime.now(UTC))
        request: dict[str, Any] = {
            "Bucket": self._bucket,
            "Key": report_key(report["batch_id"]),
            "Body": json.dumps(report, indent=2).encode(),
            "ContentType": "application/json",
        }
        if replace:
            self._s3.put_object(**request)
            return
        try:
            self._s3.put_object(**request, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in _EXISTS:
                raise

    def _make(
        self,
        event: Mapping[str, Any],
        outcome: Outcome,
        outputs: Iterable[Output],
        ended_at: datetime,
    ) -> dict[str, Any]:
        batch, cursor = event["batch"], event.get("cursor") or {}
        batch_id, source = batch["batch_id"], batch["input"]
        job = event.get("job") or {}
        seconds = _seconds(job)
        started_at = _time(batch["requested_at"])
        reject_keys = [rejects_key(batch_id, n) for n in range(cursor.get("reject_parts", 0))]
        return {
            "batch_id": batch_id,
            "owner": batch.get("owner"),
            "status": outcome.status,
            **({"reason": outcome.reason} if outcome.reason else {}),
            "input": {
                "s3_uri": f"s3://{source['bucket']}/{source['key']}",
                "version_id": source["version_id"],
                "bytes": cursor.get("size", source["size"]),
                "lines": cursor.get("line_number"),
            },
            "records": {
                "accepted": cursor.get("accepted"),
                "rejected": cursor.get("rejected"),
                "blank": cursor.get("blank"),
                "embedded": outcome.embedded,
                "failed": outcome.failed,
            },
            "rejects": [self._uri(key) for key in reject_keys],
            "output": [self._uri(output.key) for output in outputs],
            "merged": self._uri(merged_key(batch_id)) if outcome.is_merged else None,
            "deployment": event.get("deployment"),
            "transform_job": _transform_job(event.get("transform_job"), seconds),
            "started_at": _text(started_at),
            "ended_at": _text(ended_at),
            "seconds": round((ended_at - started_at).total_seconds()),
            "cost_estimate": self._cost(job, seconds),
        }

    def _uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _cost(self, job: Mapping[str, Any], seconds: float | None) -> dict[str, Any] | None:
        if self._price is None or seconds is None:
            return None
        hours = job["TransformResources"]["InstanceCount"] * seconds / 3600
        return {
            "currency": self._price["currency"],
            "amount": round(hours * self._price["per_hour"], 4),
            "instance_hours": round(hours, 4),
            "price_per_hour": self._price["per_hour"],
            "prices_as_of": self._price["as_of"],
        }


def _transform_job(
    request: Mapping[str, Any] | None, seconds: float | None
) -> dict[str, Any] | None:
    if not request:
        return None
    resources = request["TransformResources"]
    return {
        "name": request["TransformJobName"],
        "instance_type": resources["InstanceType"],
        "instance_count": resources["InstanceCount"],
        "seconds": None if seconds is None else round(seconds),
    }


def _seconds(job: Mapping[str, Any]) -> float | None:
    """How long the instances ran, which is what is paid for."""
    if not job.get("TransformStartTime") or not job.get("TransformEndTime"):
        return None
    ran = _time(job["TransformEndTime"]) - _time(job["TransformStartTime"])
    return max(0.0, ran.total_seconds())


def _time(value: str | float) -> datetime:
    """A time as AWS writes it in JSON: as text, or as seconds since 1970."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    parsed = datetime.fromisoformat(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reason_of_error(error: Mapping[str, Any]) -> str:
    """Why the workflow failed, from the Error and Cause that a state of it caught."""
    reason = reason_of(error.get("Error"), error.get("Cause"))
    if error.get("Error") == "BatchError":
        return because(reason)
    return because("The batch failed", reason)


def reason_of_job(name: str, job: Mapping[str, Any]) -> str:
    """Why a transform job did not complete, from what DescribeTransformJob says about it."""
    if job["TransformJobStatus"] == "Stopped":
        return f"The transform job {name} was stopped."
    reason = (job.get("FailureReason") or "").strip()
    failure = because(f"The transform job {name} failed", reason)
    hint = f" {_DISK_HINT}" if "no space left" in reason.lower() else ""
    log = f"Its log is in the CloudWatch group /aws/sagemaker/TransformJobs, streams {name}/*."
    return f"{failure}{hint} {log}"


def reason_of_missing(accepted: int, answered: int) -> str:
    """That not every record has an answer."""
    return f"The results are incomplete: {answered:,} of {accepted:,} records have an answer."


def outcome_of_execution(detail: Mapping[str, Any]) -> Outcome:
    """How a batch ended whose execution broke, from "Step Functions Execution Status Change"."""
    if detail["status"] == "ABORTED":
        return Outcome("stopped", because(detail.get("cause") or "The batch was stopped"))
    failure = (
        "The batch exceeded the time limit of its workflow"
        if detail["status"] == "TIMED_OUT"
        else "The batch's workflow failed"
    )
    return Outcome("failed", because(failure, reason_of(detail.get("error"), detail.get("cause"))))
