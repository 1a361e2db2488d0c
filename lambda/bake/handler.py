"""The custom resource Custom::Bake: a training job bakes the corpus, unless it was baked before.

The function is called by CloudFormation, by its own state machine (with an "action"), and by
the event rule for executions that ended without an answer (with a "detail").
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import boto3

from bake import failure_reasons
from bake.artifacts import Artifacts, Bake, facts_of
from bake.training_jobs import TrainingJobs, job_name, stop_job
from bake.workflow import BAKE_FAILED, Workflow, input_of
from boto_config import PATIENT
from contract.bake_objects import BAKES_PREFIX, artifact_key
from custom_resource import answer, is_rolling_back

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


class BakeResource:
    """Answers CloudFormation, at once or through an execution of the state machine."""

    def __init__(self) -> None:
        self._s3 = boto3.client("s3", config=PATIENT)
        self._sagemaker = boto3.client("sagemaker", config=PATIENT)
        self._cloudformation = boto3.client("cloudformation", config=PATIENT)
        self._stepfunctions = boto3.client("stepfunctions", config=PATIENT)

    def handle(self, event: Mapping[str, Any]) -> None:
        if event.get("action") == "finish":
            self._finish(event)
        elif event.get("action") == "fail":
            self._fail(event, failure_reasons.of_error(event["error"]))
        elif "detail" in event:
            self._answer_for_execution(event["detail"])
        elif event["RequestType"] == "Delete":
            self._delete(event)
        else:
            self._deploy(event)

    def _deploy(self, event: Mapping[str, Any]) -> None:
        """Answers a Create or Update at once if the bake exists; otherwise starts one."""
        properties = event["ResourceProperties"]
        bake_id = properties["BakeId"]
        try:
            self._stop_abandoned(event)
            bake = self._reuse_or_start(event)
        except Exception as error:
            # CloudFormation gets its answer from nowhere else, so no error may escape.
            logger.exception("The bake could not be started")
            if not is_rolling_back(self._cloudformation, event["StackId"]):
                done = "reused" if properties.get("ReuseOnly") == "true" else "started"
                reason = f"The bake could not be {done}: {error}"
                answer(event, "FAILED", physical_id=bake_id, reason=reason)
                return
            bake = self._best_known(properties)
        if bake:
            answer(event, "SUCCESS", physical_id=bake_id, data=bake.attributes())

    def _stop_abandoned(self, event: Mapping[str, Any]) -> None:
        """Stops the other bake of an Update.

        In a rollback that is the new bake, cut short: it gave no physical id yet, so no Delete
        will ever name it. In a deployment it is the old bake, which ended long ago.
        """
        old = event.get("OldResourceProperties", {})
        if old.get("BakeId") not in (None, event["ResourceProperties"]["BakeId"]):
            self._stop(old["BakeId"], old)

    def _reuse_or_start(self, event: Mapping[str, Any]) -> Bake | None:
        """The bake to answer with, or None if an execution will answer."""
        properties = event["ResourceProperties"]
        bake_id = properties["BakeId"]
        reuse_only = properties.get("ReuseOnly") == "true"
        artifacts = Artifacts(self._s3, properties["ArtifactsBucket"])
        bake = artifacts.find(bake_id)
        if bake and not reuse_only:
            _try(lambda: self._complete(artifacts, bake, event))
            return bake
        if is_rolling_back(self._cloudformation, event["StackId"]):
            return bake or self._best_known(properties)
        if reuse_only:
            return _checked(bake, properties)
        # Without a corpus the artifact is to hold none.
        if "Corpus" in properties:
            artifacts.copy_corpus(bake_id, properties["Corpus"])
        jobs = TrainingJobs(self._sagemaker, properties["TrainingJobPrefix"], bake_id)
        workflow = Workflow(self._stepfunctions, properties["StateMachineArn"])
        workflow.start(event, bake_id, jobs.request(properties["TrainingJob"]))
        return None

    def _complete(self, artifacts: Artifacts, bake: Bake, event: Mapping[str, Any]) -> None:
        """Adds what an earlier version of this app did not keep: facts and corpus.

        The bake serves well without, but nobody could tell later what was deployed.
        """
        properties = event["ResourceProperties"]
        missing = facts_of(properties, bake.written_at).keys() - bake.facts.keys() - {"entries"}
        if missing and not is_rolling_back(self._cloudformation, event["StackId"]):
            corpus = properties.get("Corpus")
            if corpus and not artifacts.has_corpus(bake.bake_id, corpus):
                artifacts.copy_corpus(bake.bake_id, properties["Corpus"])
            facts = {**facts_of(properties, bake.written_at), **bake.facts}
            artifacts.mark(replace(bake, facts=facts))

    def _best_known(self, properties: Mapping[str, Any]) -> Bake:
        """The old bake as far as it is known: a rollback must not fail for lack of a marker."""
        bake_id = properties["BakeId"]
        logger.warning("Rolling back to bake %s, which has no marker", bake_id)
        try:
            newest = Artifacts(self._s3, properties["ArtifactsBucket"]).newest(bake_id)
            if newest:
                return newest
        except Exception:
            logger.exception("The artifacts of bake %s cannot be listed", bake_id)
        name = job_name(properties["TrainingJobPrefix"], bake_id, 1)
        url = f"s3://{properties['ArtifactsBucket']}/{artifact_key(bake_id, name)}"
        return Bake(bake_id, url, name)

    def _delete(self, event: Mapping[str, Any]) -> None:
        """Stops what still runs for this bake. Artifacts stay: a rollback may need them."""
        physical_id = event["PhysicalResourceId"]
        properties = event["ResourceProperties"]
        # For a Create that was never answered CloudFormation makes up an id.
        for bake_id in dict.fromkeys((physical_id, properties.get("BakeId", physical_id))):
            self._stop(bake_id, properties)
        answer(event, "SUCCESS", physical_id=physical_id)

    def _stop(self, bake_id: str, properties: Mapping[str, Any]) -> None:
        """Stops a bake's executions, then its jobs, as far as possible."""
        workflow = Workflow(self._stepfunctions, properties["StateMachineArn"])
        jobs = TrainingJobs(self._sagemaker, properties["TrainingJobPrefix"], bake_id)
        _try(lambda: workflow.stop(bake_id))
        _try(jobs.stop)

    def _finish(self, event: Mapping[str, Any]) -> None:
        """Answers for a job that has ended: marks its artifact, or says why there is none."""
        job, name, bake_id = event["job"], event["training_job_name"], event["bake_id"]
        request = event["event"]
        if job["TrainingJobStatus"] != "Completed":
            reason = failure_reasons.of_job(name, job)
            answer(request, "FAILED", physical_id=bake_id, reason=reason)
            return
        properties = request["ResourceProperties"]
        bake = Bake(bake_id, job["ModelArtifacts"]["S3ModelArtifacts"], name, facts_of(properties))
        artifacts = Artifacts(self._s3, properties["ArtifactsBucket"])
        if not artifacts.holds(bake.model_data_url):
            reason = (
                f"The bake's training job {name} completed, but its artifact"
                f" {bake.model_data_url} is not in the artifacts bucket. Deploy again to repeat it."
            )
            answer(request, "FAILED", physical_id=bake_id, reason=reason)
            return
        artifacts.mark(bake)
        answer(request, "SUCCESS", physical_id=bake_id, data=bake.attributes())

    def _answer_for_execution(self, detail: Mapping[str, Any]) -> None:
        """Answers for an execution that ended without having done so."""
        if detail.get("error") == BAKE_FAILED:
            return
        started_with = input_of(self._stepfunctions, detail["executionArn"])
        name = started_with["training_job"]["TrainingJobName"]
        reason = failure_reasons.of_execution(detail)
        self._fail({**started_with, "training_job_name": name}, reason)

    def _fail(self, event: Mapping[str, Any], reason: str) -> None:
        """Answers for a bake whose workflow broke, and stops the job that nobody awaits now."""
        _try(lambda: stop_job(self._sagemaker, event["training_job_name"]))
        answer(event["event"], "FAILED", physical_id=event["bake_id"], reason=reason)


def _checked(bake: Bake | None, properties: Mapping[str, Any]) -> Bake:
    """The bake that the settings name; raises ValueError if it is not the one they describe."""
    bake_id, bucket = properties["BakeId"], properties["ArtifactsBucket"]
    if bake is None:
        raise ValueError(
            f"the settings reuse bake {bake_id}, but its marker or artifact is not in"
            f" s3://{bucket}/{BAKES_PREFIX}. Reuse another bake, or remove bake.reuse to bake"
            " again."
        )
    differences = bake.differences(properties)
    if differences:
        raise ValueError(
            f"the settings reuse bake {bake_id}, which has another model or corpus: its"
            f" {', its '.join(differences)}. Set what it was baked with, or bake again."
        )
    return bake


def _try(action: Callable[[], None]) -> None:
    """Does what may fail without harm to the answer."""
    try:
        action()
    except Exception:
        logger.exception("Going on after an error")


@cache
def _resource() -> BakeResource:
    return BakeResource()


def handler(event: dict[str, Any], _context: object) -> None:
    """Answers CloudFormation, or does a step of the workflow that will."""
    _resource().handle(event)
