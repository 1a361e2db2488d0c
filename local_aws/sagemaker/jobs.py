"""The common part of training and transform jobs: records, and threads that run them."""

from __future__ import annotations

import copy
import logging
import shutil
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from botocore.exceptions import ClientError

from local_aws.context import Context
from local_aws.iam.access import AccessDeniedError
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.resources import (
    Action,
    arn_of,
    invalid,
    list_page,
    make_log_folder,
    now,
    select_members,
)
from local_aws.service_errors import ApiError

logger = logging.getLogger(__name__)
_KEPT_LOGS = 20


class RunFailedError(Exception):
    """The job failed; the message is its FailureReason."""


@dataclass
class Job:
    """A job's record as the API describes it, and whether to stop it.

    Args:
        kind: "Training" or "Transform".
    """

    kind: str
    record: dict[str, Any]
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.record[f"{self.kind}JobName"])

    @property
    def status(self) -> str:
        """The status as the API names it."""
        return str(self.record[f"{self.kind}JobStatus"])

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status in {"InProgress", "Stopping"}

    def enter(self, status: str, **members: object) -> None:
        """Changes the status."""
        with self.lock:
            moment = now()
            self.record.update(members, LastModifiedTime=moment)
            self.record[f"{self.kind}JobStatus"] = status
            if not self.running:
                self.record[f"{self.kind}EndTime"] = moment

    def ask_to_stop(self) -> None:
        """Stops the job; ApiError if it has ended."""
        with self.lock:
            if not self.running:
                raise invalid(
                    f"The request was rejected because the {self.kind.lower()} job is in status "
                    f"{self.status}."
                )
            if not self.stop.is_set():
                self.enter("Stopping")
                self.stop.set()

    def snapshot(self) -> dict[str, Any]:
        """A copy of the record."""
        with self.lock:
            return copy.deepcopy(self.record)


AnyJob = TypeVar("AnyJob", bound=Job)
Run = TypeVar("Run")


class Jobs(ABC, Generic[AnyJob, Run]):
    """Jobs of one kind by name; names are never reused.

    Attributes:
        kind: "Training" or "Transform".
        absent: SageMaker's message for a job that does not exist.
    """

    kind: ClassVar[str]
    absent: ClassVar[str]

    def __init__(self, context: Context, children: Children) -> None:
        self.context = context
        self.children = children
        self._folder = context.state_dir / "sagemaker" / f"{self.kind.lower()}-jobs"
        self._log_folder = context.state_dir / "logs" / f"{self.kind.lower()}-jobs"
        self._lock = threading.Lock()
        self._jobs: dict[str, AnyJob] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {
            f"Create{self.kind}Job": self._create,
            f"Describe{self.kind}Job": self._describe,
            f"Stop{self.kind}Job": self._stop,
            f"List{self.kind}Jobs": self._list,
        }

    def close(self) -> None:
        """Stops all jobs; the owner of `children` ends their processes."""
        for job in list(self._jobs.values()):
            job.stop.set()

    @abstractmethod
    def check(self, request: dict[str, Any]) -> None:
        """Raises ApiError for requests that SageMaker's model allows but that cannot run here."""

    @abstractmethod
    def make_job(self, record: dict[str, Any]) -> AnyJob:
        """A job in progress. `record` is the request with ARN and creation time."""

    @abstractmethod
    def make_run(self, request: dict[str, Any], job: AnyJob, folder: Path, logs: Path) -> Run:
        """Prepares what `execute` runs."""

    @abstractmethod
    def execute(self, job: AnyJob, run: Run) -> None:
        """Runs the job until it has ended; RunFailedError if it fails."""

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request[f"{self.kind}JobName"]
        arn = {f"{self.kind}JobArn": arn_of(self.context, f"{self.kind.lower()}-job", name)}
        self.check(request)
        with self._lock:
            if name in self._jobs:
                raise ApiError(
                    "Job name must be unique within an AWS account and region, and a job with this "
                    f"name already exists ({arn[f'{self.kind}JobArn']})",
                    "ResourceInUse",
                )
            job = self.make_job({**request, **arn, "CreationTime": now()})
            self._jobs[name] = job
        logs = make_log_folder(self._log_folder, _KEPT_LOGS)
        run = self.make_run(request, job, self._folder / name, logs)
        threading.Thread(target=self._run, args=(job, run), name=self.kind, daemon=True).start()
        return arn

    def _run(self, job: AnyJob, run: Run) -> None:
        logger.info("%s job %s starts", self.kind, job.name)
        try:
            self.execute(job, run)
            logger.info("%s job %s: %s", self.kind, job.name, job.status)
        except (RunFailedError, AccessDeniedError, ClientError) as error:
            blamed = "" if isinstance(error, RunFailedError) else "ClientError: "
            job.enter("Failed", FailureReason=f"{blamed}{error}"[:1024])
            logger.error("%s job %s failed: %s", self.kind, job.name, error)
        except Exception as error:
            job.enter("Failed", FailureReason=f"InternalServerError: {error!r}"[:1024])
            if not job.stop.is_set():
                logger.exception("%s job %s failed", self.kind, job.name)
        finally:
            shutil.rmtree(self._folder / job.name, ignore_errors=True)

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return select_members(f"Describe{self.kind}Job", self._find(request).snapshot())

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        self._find(request).ask_to_stop()
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        records = [job.snapshot() for job in list(self._jobs.values())]
        answer = f"{self.kind}JobSummaries"
        return list_page(request, records, kind=f"{self.kind}Job", answer=answer)

    def _find(self, request: dict[str, Any]) -> AnyJob:
        name = request[f"{self.kind}JobName"]
        if name not in self._jobs:
            raise invalid(self.absent.format(name=name))
        return self._jobs[name]
