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

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from batch.steps import failure_reasons
from batch.steps.deployment import Deployment, read_deployment
from batch.steps.ended_executions import batch_of, outcome_of, stop_what_is_left
from batch.steps.environment import Environment
from batch.steps.gather import Gathering
from batch.steps.input_events import InputEvents
from batch.steps.outputs import list_outputs
from batch.steps.report import Outcome, Report
from batch.steps.report_store import write_first_report, write_report
from batch.steps.split import split
from batch.steps.transform_jobs import stop_jobs
from batch.steps.transform_request import prepare
from boto_config import PATIENT

# What of the function's time is kept back for the piece of work that has begun.
_RESERVE_SECONDS = 90.0
# S3 answers a copy of half a gigabyte once it is done.
_S3 = PATIENT.merge(Config(read_timeout=120))

logging.getLogger().setLevel(logging.INFO)
_log = logging.getLogger(__name__)

_environment = Environment.read()
_s3 = boto3.client("s3", config=_S3)
_ssm = boto3.client("ssm", config=PATIENT)
_sagemaker = boto3.client("sagemaker", config=PATIENT)
_stepfunctions = boto3.client("stepfunctions", config=PATIENT)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Do one step, or take one event."""
    if event.get("source") == "aws.s3":
        _start(event)
        return None
    if "detail" in event:
        _end(event["detail"])
        return None
    _log.info("%s of batch %s", event["action"], event["batch"]["batch_id"])

    def is_time_up() -> bool:
        left: int = context.get_remaining_time_in_millis()
        return left < _RESERVE_SECONDS * 1000

    return _ACTIONS[event["action"]](event, is_time_up)


def _split(event: Mapping[str, Any], is_time_up: Callable[[], bool]) -> dict[str, Any]:
    return split(_s3, _environment.batch_bucket, event, lambda: _deployment().dimension, is_time_up)


def _prepare(event: Mapping[str, Any], _is_time_up: Callable[[], bool]) -> dict[str, Any]:
    return prepare(_environment, _deployment(), event)


def _gather(event: Mapping[str, Any], is_time_up: Callable[[], bool]) -> dict[str, Any]:
    gathering = Gathering(_s3, _environment.batch_bucket, event)
    gathering.run(is_time_up)
    outcome = gathering.outcome
    if outcome is None:
        return {**gathering.cursor.document(), "done": False}
    report = _reports().make(event, outcome, gathering.outputs, datetime.now(UTC))
    write_report(_s3, _environment.batch_bucket, report)
    return {**gathering.cursor.document(), "done": True, "status": outcome.status}


def _fail(event: Mapping[str, Any], _is_time_up: Callable[[], bool]) -> dict[str, Any]:
    """Report an error of the workflow, and leave no job behind that nobody awaits."""
    batch_id = event["batch"]["batch_id"]
    try:
        stop_jobs(_sagemaker, _environment.transform_job_prefix, batch_id)
    except Exception:
        # The rule for failed executions tries again; the report must not wait for that.
        _log.exception("The transform job of batch %s is not stopped", batch_id)
    outcome = Outcome("failed", failure_reasons.of_error(event["error"]))
    write_report(_s3, _environment.batch_bucket, _report_now(event, outcome))
    return {"status": outcome.status}


def _start(event: Mapping[str, Any]) -> None:
    InputEvents(
        _s3,
        _stepfunctions,
        bucket=_environment.batch_bucket,
        state_machine_arn=_environment.state_machine_arn,
        instance_count=_environment.instance_count,
    ).start(event)


def _end(detail: Mapping[str, Any]) -> None:
    """Clear up after an execution that ended by itself; one that reported has its report."""
    batch = batch_of(_stepfunctions, detail)
    stop_what_is_left(_sagemaker, _environment.transform_job_prefix, batch["batch_id"], detail)
    report = _report_now({"batch": batch}, outcome_of(detail))
    write_first_report(_s3, _environment.batch_bucket, report)


def _report_now(event: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    outputs = list_outputs(_s3, _environment.batch_bucket, event["batch"]["batch_id"])
    return _reports().make(event, outcome, outputs.values(), datetime.now(UTC))


def _reports() -> Report:
    return Report(_environment.batch_bucket, _environment.price)


def _deployment() -> Deployment:
    return read_deployment(
        _ssm, _environment.deployment_parameter, _environment.model_name_parameter
    )


_ACTIONS: Mapping[str, Callable[[Mapping[str, Any], Callable[[], bool]], dict[str, Any]]] = {
    "split": _split,
    "prepare": _prepare,
    "gather": _gather,
    "fail": _fail,
}
