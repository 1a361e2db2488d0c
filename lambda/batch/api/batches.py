"""Requesting batches, following their progress, stopping them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from botocore.exceptions import ClientError

from batch.api.answers import Status
from batch.api.aws import Aws
from batch.api.callers import Caller
from batch.api.environment import Environment
from batch.api.files import find_object, no_such_object
from batch.api.progress import Progress, ProgressReader, of_asked
from batch.api.records import Record, Records
from batch.api.requests import BatchRequest
from batch.api.slots import Slots
from batch.execution import start_batch
from contract.batch_objects import (
    batch_id_of_upload,
    execution_arn,
    is_batch_id,
    new_batch_id,
)
from rest.errors import ApiError

_STOPPED_BY_REQUEST: Final = "It was stopped by request."


@dataclass(frozen=True, slots=True)
class Asked:
    """The batch of a request; `new` unless an earlier request had the same token."""

    batch_id: str
    status: Status
    new: bool


class Batches:
    """The batches of this stage.

    Whoever began a batch may see and stop it, and so may administrators. To others it does not
    exist. What has no owner (a file in the bucket began it, or an earlier version of this
    function) is the administrators' alone.
    """

    def __init__(self, environment: Environment, aws: Aws) -> None:
        self._environment = environment
        self._aws = aws
        self._progress = ProgressReader(environment, aws)
        self._records = Records(aws.s3, environment.bucket)
        self._slots = Slots(
            aws.s3, environment, self._progress.execution_status, self._records.read
        )

    def ask(self, request: BatchRequest, caller: Caller) -> Asked:
        """The requested batch: a new one, or the caller's existing one with the same token.

        It begins here, unless its file is to be uploaded: then the upload's event begins it.
        Raises ApiError: invalid_request, forbidden, not_found, client_token_conflict,
        too_many_batches.
        """
        self._check_may_change(caller)
        token = request.client_token
        batch_id, record = new_batch_id(), None
        if token:
            batch_id = self._records.batch_id_of_token(caller.owner, token)
            record = self._records.read(batch_id)
        new = False
        if record is None:
            asked = self._checked(batch_id, request, caller)
            self._slots.take(asked)
            record = self._records.add(asked)
            new = record is asked
            if record.instance_count != asked.instance_count:
                self._slots.give_back(asked)  # another request came first, with another body
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
            self._slots.take(record)
            self._begin(record)  # the earlier request may have failed on the way
        return Asked(batch_id, progress.status, new)

    def progress(self, batch_id: str, caller: Caller) -> Progress:
        """How far a batch is; ApiError (not_found) if the caller has none with this id."""
        return self._find(batch_id, caller)[0]

    def stop(self, batch_id: str, caller: Caller) -> Literal["stopping"] | Status:
        """Stops a batch: its transform job, so that finished embeddings are kept, or all of it.

        Returns `stopping`, or the status of a batch that has ended or is past the job. Raises
        ApiError: forbidden, and not_found if the caller has none with this id.
        """
        self._check_may_change(caller)
        progress, record = self._find(batch_id, caller)
        if record and not progress.began and progress.status != "stopped":
            self._records.mark_stopped(record)
            if self._progress.execution_status(batch_id) is None:
                self._slots.give_back(record)
                return "stopped"
            progress, _ = self._find(batch_id, caller)  # it started just now
        if progress.job is not None:
            return self._stop_job(batch_id, progress.job, caller)
        if progress.status == "checking":
            # If its job is being created just now, the rule for aborted executions stops it.
            self._aws.stepfunctions.stop_execution(
                executionArn=execution_arn(self._environment.state_machine_arn, batch_id),
                error="BatchStopped",
                cause=_STOPPED_BY_REQUEST,
            )
            return "stopping"
        return progress.status

    def _is_administrator(self, caller: Caller) -> bool:
        return not caller.names.isdisjoint(self._environment.administrators)

    def _check_may_change(self, caller: Caller) -> None:
        allowed = self._environment.callers
        if allowed and caller.names.isdisjoint(allowed) and not self._is_administrator(caller):
            raise ApiError("forbidden", "These credentials may not start or stop batches.")

    def _checked(self, batch_id: str, request: BatchRequest, caller: Caller) -> Record:
        environment = self._environment
        count = request.instance_count or environment.instance_count
        if count > environment.max_instance_count:
            raise ApiError(
                "invalid_request",
                f"instance_count: at most {environment.max_instance_count} on this stage.",
                field="instance_count",
            )
        if request.s3_uri is None:
            return Record.of(batch_id, caller.owner, request, count, None)
        self._check_upload(request.s3_uri, caller)
        found = find_object(self._aws.s3, request.s3_uri, environment.locations)
        return Record.of(batch_id, caller.owner, request, count, found)

    def _check_upload(self, s3_uri: str, caller: Caller) -> None:
        """Refuses what another caller has uploaded, as if it did not exist."""
        upload = batch_id_of_upload(s3_uri.removeprefix(f"s3://{self._environment.bucket}/"))
        if upload is not None and not self._is_administrator(caller):
            record = self._records.read(upload)
            if record is None or record.owner != caller.owner:
                raise no_such_object()

    def _begin(self, record: Record) -> None:
        if batch := record.batch():
            start_batch(
                self._aws.stepfunctions,
                self._environment.state_machine_arn,
                batch,
                record.requested_at,
            )

    def _find(self, batch_id: str, caller: Caller) -> tuple[Progress, Record | None]:
        if is_batch_id(batch_id):
            progress, record = self._progress.of_begun(batch_id), None
            if progress is None and (record := self._records.read(batch_id)):
                progress = of_asked(record)
            if progress and (progress.owner == caller.owner or self._is_administrator(caller)):
                return progress, record
        raise ApiError(
            "not_found",
            "batch_id: there is no batch with this id, or it has expired.",
            field="batch_id",
        )

    def _stop_job(self, batch_id: str, name: str, caller: Caller) -> Literal["stopping"] | Status:
        try:
            self._aws.sagemaker.stop_transform_job(TransformJobName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            # It has ended in the meantime, or is already being stopped.
            status = self.progress(batch_id, caller).status
            return "stopping" if status == "transforming" else status
        return "stopping"
