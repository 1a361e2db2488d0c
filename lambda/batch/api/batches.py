"""Requesting batches, following their progress, stopping them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from botocore.exceptions import ClientError

from batch.api.answers import Status
from batch.api.aws import Aws
from batch.api.environment import Environment
from batch.api.files import find_object
from batch.api.progress import Progress, ProgressReader, of_asked
from batch.api.records import Record, Records
from batch.api.requests import BatchRequest
from batch.execution import start_batch
from contract.batch_objects import batch_id_of_token, execution_arn, is_batch_id, new_batch_id
from rest.errors import ApiError

_STOPPED_BY_REQUEST: Final = "It was stopped by request."


@dataclass(frozen=True, slots=True)
class Asked:
    """The batch of a request; `new` unless an earlier request had the same token."""

    batch_id: str
    status: Status
    new: bool


class Batches:
    """The batches of this stage."""

    def __init__(self, environment: Environment, aws: Aws) -> None:
        self._environment = environment
        self._aws = aws
        self._progress = ProgressReader(environment, aws)
        self._records = Records(aws.s3, environment.bucket)

    def ask(self, request: BatchRequest) -> Asked:
        """The requested batch: a new one, or the existing one with the same token.

        It begins here, unless its file is to be uploaded: then the upload's event begins it.
        Raises ApiError: invalid_request, not_found, client_token_conflict.
        """
        token = request.client_token
        batch_id = batch_id_of_token(token) if token else new_batch_id()
        record = self._records.read(batch_id) if token else None
        new = False
        if record is None:
            asked = self._checked(batch_id, request)
            record = self._records.add(asked)
            new = record is asked
        if not record.is_of(request):
            raise ApiError(
                "client_token_conflict",
                "client_token: already used for another body. Use a new one, or repeat that body.",
                field="client_token",
            )
        if new:
            self._begin(record)
            return Asked(batch_id, "checking" if record.input else "awaiting_upload", new)
        progress = self._progress.of(record)
        if not progress.began and progress.status != "stopped":
            self._begin(record)  # the earlier request may have failed on the way
        return Asked(batch_id, progress.status, new)

    def progress(self, batch_id: str) -> Progress:
        """How far a batch is; ApiError (not_found) if there is none."""
        return self._find(batch_id)[0]

    def stop(self, batch_id: str) -> Literal["stopping"] | Status:
        """Stops a batch: its transform job, so that finished embeddings are kept, or all of it.

        Returns `stopping`, or the status of a batch that has ended or is past the job. ApiError
        (not_found) if there is none.
        """
        progress, record = self._find(batch_id)
        if record and not progress.began and progress.status != "stopped":
            self._records.mark_stopped(record)
            if self._progress.execution_status(batch_id) is None:
                return "stopped"
            progress, _ = self._find(batch_id)  # it started just now
        if progress.job is not None:
            return self._stop_job(batch_id, progress.job)
        if progress.status == "checking":
            # If its job is being created just now, the rule for aborted executions stops it.
            self._aws.stepfunctions.stop_execution(
                executionArn=execution_arn(self._environment.state_machine_arn, batch_id),
                error="BatchStopped",
                cause=_STOPPED_BY_REQUEST,
            )
            return "stopping"
        return progress.status

    def _checked(self, batch_id: str, request: BatchRequest) -> Record:
        environment = self._environment
        count = request.instance_count or environment.instance_count
        if count > environment.max_instance_count:
            raise ApiError(
                "invalid_request",
                f"instance_count: at most {environment.max_instance_count} on this stage.",
                field="instance_count",
            )
        if request.s3_uri is None:
            return Record.of(batch_id, request, count, None)
        found = find_object(self._aws.s3, request.s3_uri, environment.locations)
        return Record.of(batch_id, request, count, found)

    def _begin(self, record: Record) -> None:
        if batch := record.batch():
            start_batch(
                self._aws.stepfunctions,
                self._environment.state_machine_arn,
                batch,
                record.requested_at,
            )

    def _find(self, batch_id: str) -> tuple[Progress, Record | None]:
        if is_batch_id(batch_id):
            progress = self._progress.of_begun(batch_id)
            if progress:
                return progress, None
            record = self._records.read(batch_id)
            if record:
                return of_asked(record), record
        raise ApiError(
            "not_found",
            "batch_id: there is no batch with this id, or it has expired.",
            field="batch_id",
        )

    def _stop_job(self, batch_id: str, name: str) -> Literal["stopping"] | Status:
        try:
            self._aws.sagemaker.stop_transform_job(TransformJobName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            # It has ended in the meantime, or is already being stopped.
            status = self.progress(batch_id).status
            return "stopping" if status == "transforming" else status
        return "stopping"
