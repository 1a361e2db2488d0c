"""Transform jobs: their records and the threads that run them."""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import dataclass, field
from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.errors import invalid, job_exists
from local_aws.sagemaker.instance_types import check_transform_volume
from local_aws.sagemaker.model_data import ModelDataCache
from local_aws.sagemaker.models import Models
from local_aws.sagemaker.resources import (
    Action,
    arn_of,
    list_page,
    make_log_folder,
    now,
    select_members,
)
from local_aws.sagemaker.training_run import RunFailedError
from local_aws.sagemaker.transform_run import StoppedError, TransformRun

logger = logging.getLogger(__name__)
_KEPT_LOGS = 20
_MOST_INSTANCES = 100
_MOST_MEGABYTES = 100
# SageMaker's model has this default in words only.
_DEFAULT_PAYLOAD_MB = 6


@dataclass
class _Job:
    """A job's record as the API describes it, and whether to stop it."""

    record: dict[str, Any]
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def running(self) -> bool:
        return self.record["TransformJobStatus"] in {"InProgress", "Stopping"}

    def begin(self) -> None:
        """Called once the instances run and, on AWS, cost money."""
        with self.lock:
            self.record["TransformStartTime"] = now()

    def end(self, status: str, **members: object) -> None:
        with self.lock:
            moment = now()
            self.record.update(
                members,
                TransformJobStatus=status,
                TransformEndTime=moment,
                LastModifiedTime=moment,
            )

    def ask_to_stop(self) -> None:
        """Stops the job; ApiError if it has ended."""
        with self.lock:
            if not self.running:
                raise invalid(
                    "The request was rejected because the transform job is in status "
                    f"{self.record['TransformJobStatus']}."
                )
            self.record.update(TransformJobStatus="Stopping", LastModifiedTime=now())
        self.stop.set()

    def snapshot(self) -> dict[str, Any]:
        with self.lock:
            return dict(self.record)


class TransformJobs:
    """Transform jobs by name; names are never reused."""

    def __init__(
        self,
        context: Context,
        models: Models,
        children: Children,
        cache: ModelDataCache,
    ) -> None:
        self._context = context
        self._models = models
        self._children = children
        self._cache = cache
        self._folder = context.state_dir / "sagemaker" / "transform-jobs"
        self._log_folder = context.state_dir / "logs" / "transform-jobs"
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {
            "CreateTransformJob": self._create,
            "DescribeTransformJob": self._describe,
            "StopTransformJob": self._stop,
            "ListTransformJobs": self._list,
        }

    def close(self) -> None:
        """Stops all jobs; the owner of `children` ends their processes."""
        for job in list(self._jobs.values()):
            job.stop.set()

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TransformJobName"]
        arn = arn_of(self._context, "transform-job", name)
        # As it is now: the model may be deleted while the job runs.
        container = self._models.container(request["ModelName"])
        _check(request)
        with self._lock:
            if name in self._jobs:
                raise job_exists(arn)
            moment = now()
            job = _Job(
                {
                    **request,
                    "TransformInput": {
                        "CompressionType": "None",
                        "SplitType": "None",
                        **request["TransformInput"],
                    },
                    "TransformOutput": {"AssembleWith": "None", **request["TransformOutput"]},
                    "TransformJobArn": arn,
                    "TransformJobStatus": "InProgress",
                    "CreationTime": moment,
                    "LastModifiedTime": moment,
                }
            )
            self._jobs[name] = job
        log_folder = make_log_folder(self._log_folder, _KEPT_LOGS) / name
        log_folder.mkdir(exist_ok=True)
        run = TransformRun(
            request,
            container,
            folder=self._folder / name,
            log_folder=log_folder,
            s3=self._context.client("s3"),
            children=self._children,
            cache=self._cache,
            stop=job.stop,
        )
        threading.Thread(target=self._run, args=(job, run), name="transform", daemon=True).start()
        return {"TransformJobArn": arn}

    def _run(self, job: _Job, run: TransformRun) -> None:
        name = job.record["TransformJobName"]
        logger.info("transform job %s starts", name)
        try:
            run.execute(started=job.begin)
        except StoppedError:
            job.end("Stopped")
            logger.info("transform job %s: stopped", name)
        except RunFailedError as error:
            job.end("Failed", FailureReason=str(error)[:1024])
            logger.error("transform job %s failed: %s", name, error)
        except Exception as error:
            job.end("Failed", FailureReason=f"InternalServerError: {error!r}"[:1024])
            if not job.stop.is_set():
                logger.exception("transform job %s failed", name)
        else:
            job.end("Completed")
            logger.info("transform job %s: completed", name)
        finally:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._find(request["TransformJobName"])
        return select_members("DescribeTransformJob", job.snapshot())

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        self._find(request["TransformJobName"]).ask_to_stop()
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        records = [job.snapshot() for job in list(self._jobs.values())]
        return list_page(request, records, kind="TransformJob", answer="TransformJobSummaries")

    def _find(self, name: str) -> _Job:
        if name not in self._jobs:
            raise invalid(f"Could not find requested job with name: {name}")
        return self._jobs[name]


def _check(request: dict[str, Any]) -> None:
    """Checks what SageMaker's model does not say and what cannot run here."""
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
