"""Transform jobs: which requests are refused, and how the others run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.jobs import Job, Jobs
from local_aws.sagemaker.model_data import ModelDataCache
from local_aws.sagemaker.models import Models
from local_aws.sagemaker.resources import check_transform_volume, invalid, now
from local_aws.sagemaker.transform_run import StoppedError, TransformRun

_MOST_INSTANCES = 100
_MOST_MEGABYTES = 100
# SageMaker's model states this default only in its text.
_DEFAULT_PAYLOAD_MB = 6


class TransformJobs(Jobs[Job, TransformRun]):
    """Transform jobs by name."""

    kind = "Transform"
    absent = "Could not find requested job with name: {name}"

    def __init__(
        self,
        context: Context,
        models: Models,
        children: Children,
        cache: ModelDataCache,
    ) -> None:
        super().__init__(context, children)
        self._models = models
        self._cache = cache

    def check(self, request: dict[str, Any]) -> None:
        self._models.find(request["ModelName"])
        _check(request)

    def make_job(self, record: dict[str, Any]) -> Job:
        source = {"CompressionType": "None", "SplitType": "None", **record["TransformInput"]}
        target = {"AssembleWith": "None", **record["TransformOutput"]}
        job = Job(self.kind, {**record, "TransformInput": source, "TransformOutput": target})
        job.enter("InProgress")
        return job

    def make_run(self, request: dict[str, Any], job: Job, folder: Path, logs: Path) -> TransformRun:
        (logs / job.name).mkdir(exist_ok=True)
        return TransformRun(
            request,
            # Read now, because the model may be deleted while the job runs.
            self._models.container(request["ModelName"]),
            folder=folder,
            log_folder=logs / job.name,
            role=self._models.role(request["ModelName"]),
            children=self.children,
            cache=self._cache,
            stop=job.stop,
        )

    def execute(self, job: Job, run: TransformRun) -> None:
        def started() -> None:
            # From here on the instances would cost money.
            with job.lock:
                job.record["TransformStartTime"] = now()

        try:
            run.execute(started)
        except StoppedError:
            job.enter("Stopped")
        else:
            job.enter("Completed")


def _check(request: dict[str, Any]) -> None:
    """Refuses what SageMaker's model allows but SageMaker or this machine does not."""
    resources = request["TransformResources"]
    if resources["InstanceCount"] > _MOST_INSTANCES:
        raise invalid(f"InstanceCount must be at most {_MOST_INSTANCES}.")
    check_transform_volume(resources["InstanceType"], resources.get("VolumeKmsKeyId"))
    payload = request.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MB)
    if payload * (request.get("MaxConcurrentTransforms") or 1) > _MOST_MEGABYTES:
        raise invalid(
            f"MaxPayloadInMB, and MaxConcurrentTransforms * MaxPayloadInMB, must be at most "
            f"{_MOST_MEGABYTES} MB."
        )
    source, target = request["TransformInput"], request["TransformOutput"]
    for uri in (source["DataSource"]["S3DataSource"]["S3Uri"], target["S3OutputPath"]):
        if not uri.startswith("s3://"):
            raise invalid(f"{uri} is not in S3.")
    if payload == 0:
        raise invalid("The local AWS has no chunked encoding (MaxPayloadInMB 0).")
    _check_runs_here(request, source)


def _check_runs_here(request: dict[str, Any], source: dict[str, Any]) -> None:
    for member, value, available in (
        ("S3DataType", source["DataSource"]["S3DataSource"]["S3DataType"], {"S3Prefix"}),
        ("CompressionType", source.get("CompressionType", "None"), {"None"}),
        ("SplitType", source.get("SplitType", "None"), {"None", "Line"}),
    ):
        if value not in available:
            raise invalid(f"The local AWS has no {member} {value}.")
    neutral = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    if not request.get("DataProcessing", {}).items() <= neutral.items():
        raise invalid("The local AWS has no DataProcessing that filters or joins.")
    if "DataCaptureConfig" in request:
        raise invalid("The local AWS has no DataCaptureConfig.")
