"""Sentences for the report that say why a batch did not give all that was asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch.steps.report import Outcome
from causes import because, reason_of


def of_error(error: Mapping[str, Any]) -> str:
    """Why the workflow failed, from the Error and Cause that a state of it caught."""
    reason = reason_of(error.get("Error"), error.get("Cause"))
    if error.get("Error") == "BatchError":
        return because(reason)
    return because("The batch failed", reason)


def of_job(name: str, job: Mapping[str, Any]) -> str:
    """Why a transform job did not complete, from what DescribeTransformJob says about it."""
    if job["TransformJobStatus"] == "Stopped":
        return f"The transform job {name} was stopped."
    failure = because(f"The transform job {name} failed", (job.get("FailureReason") or "").strip())
    log = f"Its log is in the CloudWatch group /aws/sagemaker/TransformJobs, streams {name}/*."
    return f"{failure} {log}"


def of_missing(accepted: int, answered: int) -> str:
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
