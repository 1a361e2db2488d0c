"""Executions that ended before their batch did: what they leave behind is cleared up."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient

from batch.steps import failure_reasons
from batch.steps.report import Outcome, Status
from batch.steps.transform_jobs import stop_jobs

# An execution that is stopped may have been about to create a job, which then is there only now.
_SETTLE_SECONDS = 5.0


def stop_what_is_left(
    sagemaker: BaseClient, prefix: str, batch_id: str, detail: Mapping[str, Any]
) -> None:
    """Stop the batch's transform jobs, also one that comes up a moment later.

    Args:
        sagemaker: a boto3 client.
        prefix: what the jobs' names begin with.
        batch_id: whose.
        detail: of the event "Step Functions Execution Status Change".
    """
    if not stop_jobs(sagemaker, prefix, batch_id) and detail["status"] != "FAILED":
        time.sleep(_SETTLE_SECONDS)
        stop_jobs(sagemaker, prefix, batch_id)


def batch_of(stepfunctions: BaseClient, detail: Mapping[str, Any]) -> dict[str, Any]:
    """What an execution was started with.

    Args:
        stepfunctions: a boto3 client.
        detail: of the event "Step Functions Execution Status Change".
    """
    description = stepfunctions.describe_execution(executionArn=detail["executionArn"])
    batch: dict[str, Any] = json.loads(description["input"])
    return batch


def outcome_of(detail: Mapping[str, Any]) -> Outcome:
    """How the batch of a broken execution ended: who aborts it wants it stopped."""
    status: Status = "stopped" if detail["status"] == "ABORTED" else "failed"
    return Outcome(status, failure_reasons.of_execution(detail))
