"""Training jobs: their statuses, and which requests are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local_aws.context import Context
from local_aws.iam.access import Access
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.execution_role import ExecutionRole
from local_aws.sagemaker.jobs import Job, Jobs
from local_aws.sagemaker.resources import check_training_volume, invalid, now
from local_aws.sagemaker.training_run import Ending, TrainingRun

STOP_GRACE_SECONDS = 120.0
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


class TrainingJob(Job):
    """A job with a secondary status, whose changes are kept."""

    def enter(self, status: str, **members: object) -> None:
        """Changes the status and SecondaryStatus, which is the same if it is not in `members`."""
        members = {"SecondaryStatus": status, **members}
        secondary = str(members["SecondaryStatus"])
        with self.lock:
            super().enter(status, **members)
            moment = self.record["LastModifiedTime"]
            transitions = self.record.setdefault("SecondaryStatusTransitions", [])
            if transitions:
                transitions[-1].setdefault("EndTime", moment)
            message = members.get("FailureReason", _MESSAGES[secondary])
            transitions.append({"Status": secondary, "StartTime": moment, "StatusMessage": message})
            if not self.running:
                transitions[-1]["EndTime"] = moment
                self._record_duration(moment)

    def advance(self, secondary: str, **members: object) -> None:
        """Changes only the secondary status."""
        with self.lock:
            self.enter(self.status, SecondaryStatus=secondary, **members)

    def _record_duration(self, end: Any) -> None:
        start = self.record.get("TrainingStartTime")
        if start is not None:
            seconds = round((end - start).total_seconds())
            self.record.update(TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)


class TrainingJobs(Jobs[TrainingJob, TrainingRun]):
    """Training jobs by name. Network isolation is not enforced."""

    kind = "Training"
    absent = "Requested resource not found."

    def __init__(self, context: Context, access: Access, children: Children) -> None:
        super().__init__(context, children)
        self._access = access

    def check(self, request: dict[str, Any]) -> None:
        _check(request)

    def make_job(self, record: dict[str, Any]) -> TrainingJob:
        defaults = {
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": False,
            "EnableManagedSpotTraining": False,
        }
        job = TrainingJob(self.kind, {**defaults, **record})
        job.enter("InProgress", SecondaryStatus="Starting")
        return job

    def make_run(
        self, request: dict[str, Any], job: TrainingJob, folder: Path, logs: Path
    ) -> TrainingRun:
        return TrainingRun(
            request,
            arn=job.record["TrainingJobArn"],
            folder=folder,
            log=logs / f"{job.name}.log",
            role=ExecutionRole(
                self.context, self._access, request["RoleArn"], job.record["TrainingJobArn"]
            ),
            region=self.context.region,
        )

    def execute(self, job: TrainingJob, run: TrainingRun) -> None:
        job.advance("Downloading", TrainingStartTime=now())
        run.prepare()
        if job.stop.is_set():
            job.enter("Stopped")
            return
        job.advance("Training")
        ending = run.execute(self.children, job.stop, STOP_GRACE_SECONDS)
        artifacts = {}
        if ending is Ending.COMPLETED or run.has_model():
            job.advance("Uploading")
            artifacts = {"ModelArtifacts": {"S3ModelArtifacts": run.upload_model()}}
        if ending is Ending.COMPLETED:
            job.enter("Completed", **artifacts)
        elif ending is Ending.TIMED_OUT:
            job.enter("Stopped", SecondaryStatus="MaxRuntimeExceeded", **artifacts)
        else:
            job.enter("Stopped", **artifacts)


def _check(request: dict[str, Any]) -> None:
    """Refuses what SageMaker's model allows but SageMaker or this machine does not."""
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
