"""The requests to POST /batch, kept beside the batches' files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from batch.api.requests import BatchRequest
from batch.execution import Batch, read_json
from contract.batch_objects import request_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class InputObject(BaseModel):
    """The file of a batch; `version_id` is None if its bucket keeps no versions."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    key: str
    version_id: str | None
    size: int


class Record(BaseModel):
    """A request for a batch.

    Attributes:
        batch_id: of the batch.
        request: the body, with its defaults and without the token.
        instance_count, merge: as the batch is to run; the event of an upload reads them here.
        input: the file; None until it is uploaded.
        requested_at: when, in UTC.
        stopped_at: when it was stopped before its start: it must not start any more.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    request: dict[str, Any]
    instance_count: int
    merge: bool
    input: InputObject | None
    requested_at: datetime
    stopped_at: datetime | None = None

    @classmethod
    def of(
        cls, batch_id: str, request: BatchRequest, instance_count: int, found: InputObject | None
    ) -> Self:
        """The record of a request that arrives now."""
        return cls(
            batch_id=batch_id,
            request=_asked(request),
            instance_count=instance_count,
            merge=request.merge,
            input=found,
            requested_at=datetime.now(UTC).replace(microsecond=0),
        )

    def is_of(self, request: BatchRequest) -> bool:
        """Whether `request` asks for the same."""
        return self.request == _asked(request)

    def batch(self) -> Batch | None:
        """The batch to start; None until its file is uploaded."""
        if self.input is None:
            return None
        return Batch(
            batch_id=self.batch_id,
            bucket=self.input.bucket,
            key=self.input.key,
            version_id=self.input.version_id,
            size=self.input.size,
            instance_count=self.instance_count,
            merge=self.merge,
        )


def _asked(request: BatchRequest) -> dict[str, Any]:
    return request.model_dump(exclude={"client_token"})


class Records:
    """The records in the batch bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def read(self, batch_id: str) -> Record | None:
        """The record of a batch, if the API was asked for it."""
        content = read_json(self._s3, self._bucket, request_key(batch_id))
        return None if content is None else Record.model_validate(content)

    def add(self, record: Record) -> Record:
        """Writes a record and returns it, or the one of another request that came first."""
        try:
            self._put(record, IfNoneMatch="*")
        except ClientError as error:
            earlier = None
            if error.response["Error"]["Code"] in (
                "PreconditionFailed",
                "ConditionalRequestConflict",  # another request is writing it
            ):
                earlier = self.read(record.batch_id)
            if earlier is None:
                raise
            return earlier
        return record

    def mark_stopped(self, record: Record) -> None:
        """Notes that a batch must not start."""
        self._put(record.model_copy(update={"stopped_at": datetime.now(UTC)}))

    def _put(self, record: Record, **condition: Any) -> None:
        self._s3.put_object(
            Bucket=self._bucket,
            Key=request_key(record.batch_id),
            Body=to_json(record),
            ContentType="application/json",
            **condition,
        )
