"""Sentences for the report that say why a batch did not give what was asked of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# What Step Functions appends to the message of a failed API call.
_CALL_DETAILS = re.compile(r"\s*\(Service: .*\)\s*$", re.DOTALL)
_OWN_ERROR = "BatchError"


def of_error(error: Mapping[str, Any]) -> str:
    """What a state of the workflow caught.

    Args:
        error: Error and Cause, as Step Functions gives them.
    """
    kind, cause = _unwrap(str(error.get("Cause") or ""))
    if kind == _OWN_ERROR or error.get("Error") == _OWN_ERROR:
        return _sentence(cause)
    return _sentence(f"The batch failed: {cause or error.get('Error') or 'for no stated reason'}")


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
    return f"{_sentence(f'{ended}: {reason}' if reason else ended)} {log}"


def of_execution(detail: Mapping[str, Any]) -> str:
    """Why an execution ended before its batch did.

    Args:
        detail: the detail of the event "Step Functions Execution Status Change".
    """
    if detail["status"] == "ABORTED":
        return _sentence(str(detail.get("cause") or "The batch was stopped"))
    _, cause = _unwrap(str(detail.get("cause") or ""))
    ended = (
        "The batch took longer than its workflow may take"
        if detail["status"] == "TIMED_OUT"
        else "The batch's workflow failed"
    )
    cause = cause or str(detail.get("error") or "")
    return _sentence(f"{ended}: {cause}" if cause else ended)


def of_missing(accepted: int, answered: int) -> str:
    """That not every record has an answer."""
    return f"The results are incomplete: {answered:,} of {accepted:,} records have an answer."


def _unwrap(cause: str) -> tuple[str, str]:
    """Type and message inside a cause: a failed function's is JSON, an API call's has a tail."""
    try:
        document = json.loads(cause)
        return str(document.get("errorType", "")), str(document["errorMessage"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return "", _CALL_DETAILS.sub("", cause)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
