"""Sentences for the stack's events that say why a bake failed and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from causes import sentence, unwrap

_TOO_LARGE = re.compile(
    r"out of memory|outofmemory|memoryerror|cannot allocate memory|exit code:? ?(137|-9)\b"
    r"|no space left|disk (is )?full|too large",
    re.IGNORECASE,
)
_BATCH_HINT = (
    "The corpus seems too large for this bake: choose a larger bake instance type, or use "
    "batch transform, which has no such limit."
)
_RUNTIME_HINT = (
    "Choose a larger bake instance type; a corpus that is too large for that belongs in "
    "batch transform."
)


def of_job(name: str, job: Mapping[str, Any]) -> str:
    """Why a job that did not complete ended.

    Args:
        name: the training job's.
        job: what DescribeTrainingJob says about it.
    """
    status = job["TrainingJobStatus"].lower()
    reason = job.get("FailureReason", "").strip()
    hints = []
    if job.get("SecondaryStatus") in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        reason = reason or "it reached its maximum run time"
        hints.append(_RUNTIME_HINT)
    elif _TOO_LARGE.search(reason) and "batch transform" not in reason.lower():
        hints.append(_BATCH_HINT)
    ended = f"The bake's training job {name} {'failed' if status == 'failed' else 'was stopped'}"
    log = f"Its log: CloudWatch, group /aws/sagemaker/TrainingJobs, streams {name}/."
    return " ".join([sentence(f"{ended}: {reason}" if reason else ended), *hints, log])


def of_error(error: Mapping[str, Any]) -> str:
    """What a state of the workflow caught.

    Args:
        error: Error and Cause, as Step Functions gives them.
    """
    _, cause = unwrap(str(error.get("Cause") or ""))
    return sentence(f"The bake failed: {cause or error.get('Error') or 'for no stated reason'}")


def of_execution(detail: Mapping[str, Any]) -> str:
    """Why an execution ended without an answer.

    Args:
        detail: the detail of the event "Step Functions Execution Status Change".
    """
    status = detail["status"].lower().replace("_", " ")
    _, cause = unwrap(str(detail.get("cause") or ""))
    cause = cause or str(detail.get("error") or "")
    ended = f"The bake's workflow ({detail['executionArn']}) has {status}"
    if status == "aborted":
        ended = ended.replace("has aborted", "was aborted")
    return sentence(f"{ended}: {cause}" if cause else ended)
