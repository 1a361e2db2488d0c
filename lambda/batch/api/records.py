"""The requests to POST /batch, kept beside the batches' files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from batch.api.requests import BatchRequest
from batch.execution import Batch, read_json
from contract.batch_objects import new_batch_id, request_key, token_key

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
        owner: who asked for it; None in records of earlier versions.
        request: the body, with its defaults and without the token.
        instance_count, merge: as the batch is to run; the event of an upload reads them here.
        input: the file; None until it is uploaded.
        requested_at: when, in UTC.
        stopped_at: when it was stopped before its start: it must not start any more.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    owner: str | None = None
    request: dict[str, Any]
    instance_count: int
    merge: bool
    input: InputObject | None
    requested_at: datetime
    stopped_at: datetime | None = None

    @classmethod
    def of(
        cls,
        batch_id: str,
        owner: str,
        request: BatchRequest,
        instance_count: int,
        found: InputObject | None,
    ) -> Self:
        """The record of a request that arrives now."""
        return cls(
            batch_id=batch_id,
            owner=owner,
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
            owner=self.owner,
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
        earlier = self._put_first(request_key(record.batch_id), record)
        return record if earlier is None else Record.model_validate(earlier)

    def batch_id_of_token(self, owner: str, client_token: str) -> str:
        """Always the same id for the same token of an owner, and one that nobody can work out."""
        key = token_key(owner, client_token)
        made = {"batch_id": new_batch_id()}
        found = read_json(self._s3, self._bucket, key) or self._put_first(key, made) or made
        batch_id: str = found["batch_id"]
        return batch_id

    def mark_stopped(self, record: Record) -> None:
        """Notes that a batch must not start."""
        stopped = record.model_copy(update={"stopped_at": datetime.now(UTC)})
        self._put(request_key(record.batch_id), stopped)

    def _put_first(self, key: str, content: object) -> dict[str, Any] | None:
        """Writes an object unless there is one; returns the one of a request that came first."""
        try:
            self._put(key, content, IfNoneMatch="*")
        except ClientError as error:
            earlier = None
            if error.response["Error"]["Code"] in (
                "PreconditionFailed",
                "ConditionalRequestConflict",  # another request is writing it
            ):
                earlier = read_json(self._s3, self._bucket, key)
            if earlier is None:
                raise
            return earlier
        return None

    def _put(self, key: str, content: object, **condition: Any) -> None:
        self._s3.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=to_json(content),
            ContentType="application/json",
            **condition,
        )
