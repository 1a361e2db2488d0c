"""Training jobs: their records and the threads that run them."""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import dataclass, field
from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.errors import invalid, job_exists
from local_aws.sagemaker.instance_types import check_training_volume
from local_aws.sagemaker.resources import (
    Action,
    arn_of,
    list_page,
    make_log_folder,
    now,
    select_members,
)
from local_aws.sagemaker.training_run import Ending, RunFailedError, TrainingRun

logger = logging.getLogger(__name__)
STOP_GRACE_SECONDS = 120.0
_KEPT_LOGS = 20
_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training in-progress",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


@dataclass
class _Job:
    """A job's record as the API describes it, and whether to stop it."""

    record: dict[str, Any]
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def running(self) -> bool:
        return self.record["TrainingJobStatus"] in {"InProgress", "Stopping"}

    def advance(self, secondary: str, status: str | None = None, **members: object) -> None:
        """Changes the secondary status and, if given, the job's status."""
        with self.lock:
            moment = now()
            transitions = self.record.setdefault("SecondaryStatusTransitions", [])
            if transitions:
                transitions[-1].setdefault("EndTime", moment)
            transitions.append(
                {
                    "Status": secondary,
                    "StartTime": moment,
                    "StatusMessage": members.get("FailureReason", _MESSAGES[secondary]),
                }
            )
            self.record.update(members, SecondaryStatus=secondary, LastModifiedTime=moment)
            if status is not None:
                self.record["TrainingJobStatus"] = status
            if not self.running:
                transitions[-1]["EndTime"] = moment
                self._record_end()

    def _record_end(self) -> None:
        end = self.record["TrainingEndTime"] = self.record["LastModifiedTime"]
        start = self.record.get("TrainingStartTime")
        if start is not None:
            seconds = round((end - start).total_seconds())
            self.record.update(TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)

    def snapshot(self) -> dict[str, Any]:
        with self.lock:
            transitions = [dict(t) for t in self.record["SecondaryStatusTransitions"]]
            return {**self.record, "SecondaryStatusTransitions": transitions}


class TrainingJobs:
    """Training jobs by name; names are never reused."""

    def __init__(self, context: Context, children: Children) -> None:
        self._context = context
        self._children = children
        self._folder = context.state_dir / "sagemaker" / "training-jobs"
        self._log_folder = context.state_dir / "logs" / "training-jobs"
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "StopTrainingJob": self._stop,
            "ListTrainingJobs": self._list,
        }

    def close(self) -> None:
        """Stops all jobs; the owner of `children` ends their processes."""
        for job in list(self._jobs.values()):
            job.stop.set()

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TrainingJobName"]
        arn = arn_of(self._context, "training-job", name)
        _check(request)
        with self._lock:
            if name in self._jobs:
                raise job_exists(arn)
            job = _Job(
                {
                    "EnableNetworkIsolation": False,
                    "EnableInterContainerTrafficEncryption": False,
                    "EnableManagedSpotTraining": False,
                    **request,
                    "TrainingJobArn": arn,
                    "TrainingJobStatus": "InProgress",
                    "CreationTime": now(),
                }
            )
            job.advance("Starting")
            self._jobs[name] = job
        run = TrainingRun(
            request,
            arn=arn,
            folder=self._folder / name,
            log=make_log_folder(self._log_folder, _KEPT_LOGS) / f"{name}.log",
            s3=self._context.client("s3"),
            region=self._context.region,
        )
        threading.Thread(target=self._run, args=(job, run), name="training", daemon=True).start()
        return {"TrainingJobArn": arn}

    def _run(self, job: _Job, run: TrainingRun) -> None:
        name = job.record["TrainingJobName"]
        logger.info("training job %s starts (network isolation is not enforced here)", name)
        try:
            self._run_phases(job, run)
        except RunFailedError as error:
            job.advance("Failed", "Failed", FailureReason=str(error))
            logger.error("training job %s failed: %s", name, error)
        except Exception as error:
            job.advance("Failed", "Failed", FailureReason=f"InternalServerError: {error!r}"[:1024])
            if not job.stop.is_set():
                logger.exception("training job %s failed", name)
        finally:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _run_phases(self, job: _Job, run: TrainingRun) -> None:
        job.advance("Downloading", TrainingStartTime=now())
        run.prepare()
        if job.stop.is_set():
            job.advance("Stopped", "Stopped")
            return
        job.advance("Training")
        ending = run.execute(self._children, job.stop, STOP_GRACE_SECONDS)
        artifacts = {}
        if ending is Ending.COMPLETED or run.has_model():
            job.advance("Uploading")
            artifacts = {"ModelArtifacts": {"S3ModelArtifacts": run.upload_model()}}
        if ending is Ending.COMPLETED:
            job.advance("Completed", "Completed", **artifacts)
        elif ending is Ending.TIMED_OUT:
            job.advance("MaxRuntimeExceeded", "Stopped", **artifacts)
        else:
            job.advance("Stopped", "Stopped", **artifacts)
        logger.info("training job %s: %s", job.record["TrainingJobName"], ending.value)

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._jobs.get(request["TrainingJobName"])
        if job is None:
            raise invalid("Requested resource not found.")
        return select_members("DescribeTrainingJob", job.snapshot())

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._jobs.get(request["TrainingJobName"])
        if job is None:
            raise invalid("Requested resource not found.")
        if not job.running:
            raise invalid(
                "The request was rejected because the training job is in status "
                f"{job.record['TrainingJobStatus']}."
            )
        if not job.stop.is_set():
            job.advance("Stopping", "Stopping")
            job.stop.set()
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        records = [job.snapshot() for job in list(self._jobs.values())]
        return list_page(request, records, kind="TrainingJob", answer="TrainingJobSummaries")


def _check(request: dict[str, Any]) -> None:
    """Checks what SageMaker's model does not say and what cannot run here."""
    for member in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if member not in request:
            raise invalid(f"{member} must be specified.")
    resources = request["ResourceConfig"]
    for member in ("InstanceType", "InstanceCount"):
        if member not in resources:
            raise invalid(f"{member} must be specified in ResourceConfig.")
    check_training_volume(
        resources["InstanceType"],
        resources.get("VolumeSizeInGB"),
        resources.get("VolumeKmsKeyId"),
    )
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(set(channels)) != len(channels):
        raise invalid("The names of input channels must be unique.")
    _check_runs_here(request)


def _check_runs_here(request: dict[str, Any]) -> None:
    count = request["ResourceConfig"]["InstanceCount"]
    if count != 1:
        raise invalid(f"The local AWS runs one instance, not {count}.")
    if not request["AlgorithmSpecification"].get("ContainerEntrypoint"):
        raise invalid(
            "The local AWS runs no images: AlgorithmSpecification needs a ContainerEntrypoint."
        )
    if request["OutputDataConfig"].get("CompressionType", "GZIP") != "GZIP":
        raise invalid("The local AWS has only the output compression GZIP.")
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource")
        if source is None or source["S3DataType"] != "S3Prefix":
            raise invalid(f"Channel {channel['ChannelName']}: the local AWS has only S3Prefix.")
        if not source["S3Uri"].startswith("s3://"):
            raise invalid(f"Channel {channel['ChannelName']}: {source['S3Uri']} is not in S3.")
