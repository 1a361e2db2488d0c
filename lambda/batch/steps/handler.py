"""Steps of a batch: what its state machine and the event rules call.

Every step gets "batch" (the execution's input) and what the steps before it returned:

- {"action": "split", "batch", "cursor"} -> the next cursor; again until its "done" is true.
- {"action": "prepare", "batch", "cursor", "attempt"} -> {"transform_job", "deployment",
  "wait_seconds", "attempt"}. The attempt given is the number of those before (null or 0: none),
  the one returned is this one's.
- {"action": "gather", "batch", "cursor", "transform_job", "deployment", "job", "gather"} -> the
  next "gather"; again until its "done" is true. Then "status" is the report's: completed, stopped
  or failed.
- {"action": "fail", "batch", "error", and whatever else there is} -> {"status": "failed"}.

The events are "Object Created" of the batch bucket and "Step Functions Execution Status Change"
of executions that failed, timed out or were aborted.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from batch.steps import BatchError
from batch.steps.environment import Environment
from batch.steps.gather import Gathering
from batch.steps.input_events import start_for_file
from batch.steps.objects import Output, list_outputs
from batch.steps.report import Outcome, Reports, outcome_of_execution, reason_of_error
from batch.steps.split import split
from batch.steps.transform import prepare, stop_jobs
from boto_config import PATIENT
from contract.deployment import Deployment

# Kept back of the function's time for the piece of work that has begun.
_RESERVE_SECONDS = 90.0
# S3 answers a copy of half a gigabyte once it is done.
_S3 = PATIENT.merge(Config(read_timeout=120))
# An execution that is stopped may have been about to create a job, which appears only then.
_SETTLE_SECONDS = 5.0

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


class Steps:
    """Does one step, or handles one event."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._bucket = environment.batch_bucket
        self._s3 = boto3.client("s3", config=_S3)
        self._ssm = boto3.client("ssm", config=PATIENT)
        self._sagemaker = boto3.client("sagemaker", config=PATIENT)
        self._stepfunctions = boto3.client("stepfunctions", config=PATIENT)
        self._reports = Reports(self._s3, self._bucket, environment.price)

    def handle(
        self, event: Mapping[str, Any], remaining_seconds: Callable[[], float]
    ) -> dict[str, Any] | None:
        if event.get("source") == "aws.s3":
            start_for_file(self._s3, self._stepfunctions, self._environment, event)
            return None
        if "detail" in event:
            self._end(event["detail"])
            return None
        logger.info("%s of batch %s", event["action"], event["batch"]["batch_id"])

        def is_time_up() -> bool:
            return remaining_seconds() < _RESERVE_SECONDS

        match event["action"]:
            case "split":
                return split(
                    self._s3, self._bucket, event, lambda: self._deployment().dimension, is_time_up
                )
            case "prepare":
                model_name = self._parameter(self._environment.model_name_parameter)
                return prepare(self._environment, self._deployment(), model_name, event)
            case "gather":
                return self._gather(event, is_time_up)
            case "fail":
                return self._fail(event)
        raise ValueError(f"unknown action {event['action']!r}")

    def _gather(self, event: Mapping[str, Any], is_time_up: Callable[[], bool]) -> dict[str, Any]:
        gathering = Gathering(self._s3, self._bucket, event)
        gathering.run(is_time_up)
        outcome = gathering.outcome
        if outcome is None:
            return {**gathering.cursor.document(), "done": False}
        self._reports.write(event, outcome, gathering.outputs)
        return {**gathering.cursor.document(), "done": True, "status": outcome.status}

    def _fail(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Reports an error of the workflow, and stops the job that nobody awaits now."""
        batch_id = event["batch"]["batch_id"]
        try:
            self._stop_jobs(batch_id)
        except Exception:
            # The rule for failed executions tries again; the report must not wait for that.
            logger.exception("The transform job of batch %s was not stopped", batch_id)
        outcome = Outcome("failed", reason_of_error(event["error"]))
        self._reports.write(event, outcome, self._outputs(batch_id))
        return {"status": outcome.status}

    def _end(self, detail: Mapping[str, Any]) -> None:
        """Cleans up after an execution that broke, and reports it unless there is a report."""
        execution = self._stepfunctions.describe_execution(executionArn=detail["executionArn"])
        batch = json.loads(execution["input"])
        batch_id = batch["batch_id"]
        if not self._stop_jobs(batch_id) and detail["status"] != "FAILED":
            time.sleep(_SETTLE_SECONDS)
            self._stop_jobs(batch_id)
        outcome = outcome_of_execution(detail)
        self._reports.write({"batch": batch}, outcome, self._outputs(batch_id), replace=False)

    def _stop_jobs(self, batch_id: str) -> int:
        return stop_jobs(self._sagemaker, self._environment.transform_job_prefix, batch_id)

    def _outputs(self, batch_id: str) -> list[Output]:
        return list(list_outputs(self._s3, self._bucket, batch_id).values())

    def _deployment(self) -> Deployment:
        return Deployment.from_json(self._parameter(self._environment.deployment_parameter))

    def _parameter(self, name: str) -> str:
        """A parameter that the Model stack writes after each smoke test."""
        try:
            return self._ssm.get_parameter(Name=name)["Parameter"]["Value"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise
            raise BatchError(
                f"No model is deployed (there is no parameter {name}). Deploy, then try again."
            ) from error


@cache
def _steps() -> Steps:
    return Steps(Environment.read(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Does one step, or handles one event."""
    return _steps().handle(event, lambda: context.get_remaining_time_in_millis() / 1000)
