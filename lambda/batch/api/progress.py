"""How far a batch is: its report, else its execution, its transform job, its record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from botocore.exceptions import ClientError

from batch.api.answers import BatchReport, Status
from batch.api.aws import Aws
from batch.api.environment import Environment
from batch.api.records import Record
from batch.execution import read_json
from contract.batch_objects import execution_arn, report_key, transform_job_names

if TYPE_CHECKING:
    from types_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

_RUNNING_JOB: Final = ("InProgress", "Stopping")
# For an execution that has ended, while its report is not there yet or has expired.
_ENDED: Final[dict[str, Status]] = {"SUCCEEDED": "completed", "ABORTED": "stopped"}


@dataclass(frozen=True, slots=True)
class Progress:
    """A batch's status, with its report once it has ended and its job while that runs.

    `began`: whether it has or had an execution, and not only a request. `owner`: who asked for it.
    """

    status: Status
    began: bool
    owner: str | None
    report: BatchReport | None = None
    job: str | None = None


class ProgressReader:
    """Asks S3, Step Functions and SageMaker, each only if the one before does not know.

    The report comes first: it outlives the execution, which is forgotten after 90 days.
    """

    def __init__(self, environment: Environment, aws: Aws) -> None:
        self._environment = environment
        self._aws = aws

    def of(self, record: Record) -> Progress:
        """How far the batch of a record is."""
        return self.of_begun(record.batch_id) or of_asked(record)

    def of_begun(self, batch_id: str) -> Progress | None:
        """How far a batch is; None if it has not started or never existed."""
        if found := self._reported(batch_id):
            return found
        execution = self._execution(batch_id)
        if execution is None:
            return None
        status, owner = execution["status"], json.loads(execution["input"]).get("owner")
        if status == "RUNNING":
            return self._running(batch_id, owner)
        # It may have ended, and written its report, between the two requests.
        return self._reported(batch_id) or Progress(_ENDED.get(status, "failed"), True, owner)

    def execution_status(self, batch_id: str) -> str | None:
        """`RUNNING` or how it ended; None if there is no execution, or no longer."""
        execution = self._execution(batch_id)
        return None if execution is None else execution["status"]

    def _execution(self, batch_id: str) -> DescribeExecutionOutputTypeDef | None:
        arn = execution_arn(self._environment.state_machine_arn, batch_id)
        try:
            return self._aws.stepfunctions.describe_execution(executionArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return None
            raise

    def _reported(self, batch_id: str) -> Progress | None:
        report = read_json(self._aws.s3, self._environment.bucket, report_key(batch_id))
        if report is None:
            return None
        owner = report.pop("owner", None)
        return Progress(report["status"], True, owner, cast("BatchReport", report))

    def _running(self, batch_id: str, owner: str | None) -> Progress:
        for name in transform_job_names(self._environment.transform_job_prefix, batch_id):
            try:
                job = self._aws.sagemaker.describe_transform_job(TransformJobName=name)
            except ClientError as error:
                # The job does not exist.
                if error.response["Error"]["Code"] == "ValidationException":
                    continue
                raise
            if job["TransformJobStatus"] in _RUNNING_JOB:
                return Progress("transforming", True, owner, job=name)
            return Progress("gathering", True, owner)
        return Progress("checking", True, owner)


def of_asked(record: Record) -> Progress:
    """How far a batch is that has not started."""
    if record.stopped_at is not None:
        return Progress("stopped", False, record.owner)
    return Progress("checking" if record.input else "awaiting_upload", False, record.owner)
