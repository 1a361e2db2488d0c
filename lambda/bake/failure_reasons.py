"""Sentences for the stack's events that say why a bake failed and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from causes import because, reason_of

_TOO_LARGE = re.compile(
    r"out of memory|outofmemory|memoryerror|cannot allocate memory|exit code:? ?(137|-9)\b"
    r"|too large",
    re.IGNORECASE,
)
_DISK_FULL = re.compile(r"no space left|disk (is )?full", re.IGNORECASE)
_SIZE_HINT = (
    "The corpus seems too large for this bake: choose a larger bake instance type, or use"
    " batch transform, which has no such limit."
)
_DISK_HINT = (
    "Set a larger bake.volume_size_gb; instance types with local storage ignore it, so choose a"
    " larger one of those."
)
_TIME_HINT = (
    "Choose a larger bake instance type; if the corpus is too large even for that, use batch"
    " transform."
)


def of_job(name: str, job: Mapping[str, Any]) -> str:
    """Why a training job did not complete, from what DescribeTrainingJob says about it."""
    reason = job.get("FailureReason", "").strip()
    hints = []
    if job.get("SecondaryStatus") in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        reason = reason or "it reached its maximum run time"
        hints.append(_TIME_HINT)
    elif _TOO_LARGE.search(reason) and "batch transform" not in reason.lower():
        hints.append(_SIZE_HINT)
    elif _DISK_FULL.search(reason) and "bake.volume_size_gb" not in reason:
        hints.append(_DISK_HINT)
    ended = "failed" if job["TrainingJobStatus"] == "Failed" else "was stopped"
    log = f"Its log is in the CloudWatch group /aws/sagemaker/TrainingJobs, streams {name}/*."
    return " ".join([because(f"The bake's training job {name} {ended}", reason), *hints, log])


def of_error(error: Mapping[str, Any]) -> str:
    """Why the workflow failed, from the Error and Cause that a state of it caught."""
    return because("The bake failed", reason_of(error.get("Error"), error.get("Cause")))


def of_execution(detail: Mapping[str, Any]) -> str:
    """Why an execution ended without an answer, from "Step Functions Execution Status Change"."""
    ended = {"ABORTED": "was aborted", "TIMED_OUT": "timed out"}.get(detail["status"], "failed")
    return because(
        f"The bake's workflow ({detail['executionArn']}) {ended}",
        reason_of(detail.get("error"), detail.get("cause")),
    )
