"""The custom resource Custom::Bake: a corpus baked by a training job, or one found baked.

The function is called by CloudFormation, by its own state machine (with an "action"), and by
the event rule for executions that ended without an answer (with a "detail").
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import boto3

from bake import failure_reasons
from bake.artifacts import Artifacts
from bake.finished_bake import Bake, facts_of
from bake.training_jobs import TrainingJobs, job_name, stop_job
from bake.workflow import BAKE_FAILED, Workflow, input_of
from boto_config import PATIENT
from custom_resource import answer
from stack_status import is_rolling_back

logging.getLogger().setLevel(logging.INFO)
_log = logging.getLogger(__name__)

_s3 = boto3.client("s3", config=PATIENT)
_sagemaker = boto3.client("sagemaker", config=PATIENT)
_cloudformation = boto3.client("cloudformation", config=PATIENT)
_stepfunctions = boto3.client("stepfunctions", config=PATIENT)


def handler(event: dict[str, Any], _context: object) -> None:
    """Answer CloudFormation, now or through an execution of the state machine."""
    if event.get("action") == "finish":
        _finish(event)
    elif event.get("action") == "fail":
        _fail(event, failure_reasons.of_error(event["error"]))
    elif "detail" in event:
        _answer_for_execution(event["detail"])
    elif event["RequestType"] == "Delete":
        _delete(event)
    else:
        _deploy(event)


def _deploy(event: Mapping[str, Any]) -> None:
    """Answer a Create or Update at once where the bake exists; else start one."""
    properties = event["ResourceProperties"]
    bake_id = properties["BakeId"]
    try:
        _stop_abandoned(event)
        bake = _reuse_or_start(event)
    except Exception as error:
        # Nobody else answers CloudFormation, so no error may escape from here.
        _log.exception("The bake could not be started")
        if not is_rolling_back(_cloudformation, event["StackId"]):
            done = "reused" if properties.get("ReuseOnly") == "true" else "started"
            reason = f"The bake could not be {done}: {error}"
            answer(event, "FAILED", physical_id=bake_id, reason=reason)
            return
        bake = _best_known(properties)
    if bake:
        answer(event, "SUCCESS", physical_id=bake_id, data=bake.attributes())


def _stop_abandoned(event: Mapping[str, Any]) -> None:
    """Stop the other bake of an Update.

    In a rollback that is the new bake, cut short: it gave no physical id yet, so no Delete
    will ever name it. In a deployment it is the old bake, which ended long ago.
    """
    old = event.get("OldResourceProperties", {})
    if old.get("BakeId") not in (None, event["ResourceProperties"]["BakeId"]):
        _stop(old["BakeId"], old)


def _reuse_or_start(event: Mapping[str, Any]) -> Bake | None:
    """The bake to answer with, or None when an execution will answer."""
    properties = event["ResourceProperties"]
    bake_id = properties["BakeId"]
    reuse_only = properties.get("ReuseOnly") == "true"
    artifacts = Artifacts(_s3, properties["ArtifactsBucket"])
    bake = artifacts.find(bake_id)
    if bake and not reuse_only:
        _try(lambda: _complete(artifacts, bake, event))
        return bake
    if is_rolling_back(_cloudformation, event["StackId"]):
        return bake or _best_known(properties)
    if reuse_only:
        return _checked(bake, properties)
    artifacts.bring_corpus(bake_id, properties["Corpus"])
    jobs = TrainingJobs(_sagemaker, properties["TrainingJobPrefix"], bake_id)
    workflow = Workflow(_stepfunctions, properties["StateMachineArn"])
    workflow.start(event, bake_id, jobs.request(properties["TrainingJob"]))
    return None


def _complete(artifacts: Artifacts, bake: Bake, event: Mapping[str, Any]) -> None:
    """Add what a marker and folder of an earlier version of this app lack.

    The bake is good without it; whoever wants to know later what was deployed is not.
    """
    properties = event["ResourceProperties"]
    missing = facts_of(properties, bake.written_at).keys() - bake.facts.keys() - {"entries"}
    if missing and not is_rolling_back(_cloudformation, event["StackId"]):
        if not artifacts.has_corpus(bake.bake_id, properties["Corpus"]):
            artifacts.bring_corpus(bake.bake_id, properties["Corpus"])
        facts = {**facts_of(properties, bake.written_at), **bake.facts}
        artifacts.mark(replace(bake, facts=facts))


def _checked(bake: Bake | None, properties: Mapping[str, Any]) -> Bake:
    """The bake that the settings name. Raises ValueError where it cannot be what they want."""
    bake_id, bucket = properties["BakeId"], properties["ArtifactsBucket"]
    if bake is None:
        raise ValueError(
            f"the settings reuse bake {bake_id}, but its marker or its artifact is not in"
            f" s3://{bucket}/bakes/. Reuse another one, or leave bake.reuse out to bake again."
        )
    differences = bake.differences(properties)
    if differences:
        raise ValueError(
            f"the settings reuse bake {bake_id}, which is another model's or corpus's: its"
            f" {', its '.join(differences)}. Let the settings name what it was baked with."
        )
    return bake


def _best_known(properties: Mapping[str, Any]) -> Bake:
    """The old bake as far as it can be known: a rollback must not fail for want of a marker."""
    bake_id = properties["BakeId"]
    _log.warning("Rolling back to bake %s, which has no marker", bake_id)
    try:
        newest = Artifacts(_s3, properties["ArtifactsBucket"]).newest(bake_id)
        if newest:
            return newest
    except Exception:
        _log.exception("The artifacts of bake %s cannot be listed", bake_id)
    name = job_name(properties["TrainingJobPrefix"], bake_id, 1)
    url = f"s3://{properties['ArtifactsBucket']}/bakes/{bake_id}/{name}/output/model.tar.gz"
    return Bake(bake_id, url, name)


def _delete(event: Mapping[str, Any]) -> None:
    """Stop what still runs for this bake. Artifacts stay: a rollback may need them."""
    physical_id = event["PhysicalResourceId"]
    properties = event["ResourceProperties"]
    # A Create that was never answered leaves an id which CloudFormation made up.
    for bake_id in dict.fromkeys((physical_id, properties.get("BakeId", physical_id))):
        _stop(bake_id, properties)
    answer(event, "SUCCESS", physical_id=physical_id)


def _stop(bake_id: str, properties: Mapping[str, Any]) -> None:
    """Stop a bake's executions, then its jobs, as far as possible."""

    def stop_executions() -> None:
        Workflow(_stepfunctions, properties["StateMachineArn"]).stop(bake_id)

    def stop_jobs() -> None:
        TrainingJobs(_sagemaker, properties["TrainingJobPrefix"], bake_id).stop()

    _try(stop_executions)
    _try(stop_jobs)


def _try(action: Callable[[], None]) -> None:
    """Do what may fail without harm to the answer."""
    try:
        action()
    except Exception:
        _log.exception("Not done")


def _finish(event: Mapping[str, Any]) -> None:
    """Answer for a job that has ended: mark its artifact, or say why there is none."""
    job, name, bake_id = event["job"], event["training_job_name"], event["bake_id"]
    request = event["event"]
    if job["TrainingJobStatus"] != "Completed":
        reason = failure_reasons.of_job(name, job)
        answer(request, "FAILED", physical_id=bake_id, reason=reason)
        return
    properties = request["ResourceProperties"]
    bake = Bake(bake_id, job["ModelArtifacts"]["S3ModelArtifacts"], name, facts_of(properties))
    artifacts = Artifacts(_s3, properties["ArtifactsBucket"])
    if not artifacts.holds(bake.model_data_url):
        reason = (
            f"The bake's training job {name} completed, but its artifact "
            f"{bake.model_data_url} is not in the artifacts bucket. Deploy again to repeat it."
        )
        answer(request, "FAILED", physical_id=bake_id, reason=reason)
        return
    artifacts.mark(bake)
    answer(request, "SUCCESS", physical_id=bake_id, data=bake.attributes())


def _answer_for_execution(detail: Mapping[str, Any]) -> None:
    """Answer for an execution that ended without having done so."""
    if detail.get("error") == BAKE_FAILED:
        return
    started_with = input_of(_stepfunctions, detail["executionArn"])
    name = started_with["training_job"]["TrainingJobName"]
    _fail({**started_with, "training_job_name": name}, failure_reasons.of_execution(detail))


def _fail(event: Mapping[str, Any], reason: str) -> None:
    """Answer for a bake whose workflow broke, and leave no job behind that nobody awaits."""
    _try(lambda: stop_job(_sagemaker, event["training_job_name"]))
    answer(event["event"], "FAILED", physical_id=event["bake_id"], reason=reason)
