"""Sentences for the report that say why a batch did not give what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from causes import sentence, unwrap

_OWN_ERROR = "BatchError"


def of_error(error: Mapping[str, Any]) -> str:
    """What a state of the workflow caught.

    Args:
        error: Error and Cause, as Step Functions gives them.
    """
    kind, cause = unwrap(str(error.get("Cause") or ""))
    if kind == _OWN_ERROR or error.get("Error") == _OWN_ERROR:
        return sentence(cause)
    return sentence(f"The batch failed: {cause or error.get('Error') or 'for no stated reason'}")


def of_job(name: str, job: Mapping[str, Any]) -> str:
    """Why a transform job that did not complete ended.

    Args:
        name: the job's.
        job: what DescribeTransformJob says about it.
    """
    if job["TransformJobStatus"] == "Stopped":
        return f"The transform job {name} was stopped."
    reason = str(job.get("FailureReason") or "").strip()
    ended = f"The transform job {name} failed"
    log = f"Its log: CloudWatch, group /aws/sagemaker/TransformJobs, streams {name}/."
    return f"{sentence(f'{ended}: {reason}' if reason else ended)} {log}"


def of_execution(detail: Mapping[str, Any]) -> str:
    """Why an execution ended before its batch did.

    Args:
        detail: the detail of the event "Step Functions Execution Status Change".
    """
    if detail["status"] == "ABORTED":
        return sentence(str(detail.get("cause") or "The batch was stopped"))
    _, cause = unwrap(str(detail.get("cause") or ""))
    ended = (
        "The batch took longer than its workflow may take"
        if detail["status"] == "TIMED_OUT"
        else "The batch's workflow failed"
    )
    cause = cause or str(detail.get("error") or "")
    return sentence(f"{ended}: {cause}" if cause else ended)


def of_missing(accepted: int, answered: int) -> str:
    """That not every record has an answer."""
    return f"The results are incomplete: {answered:,} of {accepted:,} records have an answer."
