"""How many batches and instances may be under way: of one caller, and of all together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from batch.api.environment import Environment
from batch.api.records import Record
from contract.batch_objects import SLOTS_PREFIX, slot_key
from rest.errors import ApiError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# An execution starts in the request that takes the slot, and a request lasts 28 seconds at most.
_STARTS_WITHIN: Final = timedelta(minutes=2)
# An upload begins within an hour; a slow one of 5 GB may end much later.
_UPLOADED_WITHIN: Final = timedelta(hours=3)

ExecutionStatus = Callable[[str], str | None]
ReadRecord = Callable[[str], Record | None]


@dataclass(frozen=True, slots=True)
class Slot:
    """What a batch holds from its request to its end."""

    key: str
    owner: str
    batch_id: str
    instances: int
    taken_at: datetime


class Slots:
    """Empty objects in the batch bucket, one for each batch that may be under way.

    A batch first takes its slot and then counts all, and S3 lists what has been written: so of
    requests at the same time, never more are admitted than there is room for. Two that compete for
    the last slot may both be refused.

    Nobody returns the slot of a batch that has ended. The first request that finds no room looks
    which of them still run.
    """

    def __init__(
        self,
        s3: S3Client,
        environment: Environment,
        execution_status: ExecutionStatus,
        read_record: ReadRecord,
    ) -> None:
        self._s3 = s3
        self._environment = environment
        self._execution_status = execution_status
        self._read_record = read_record

    def take(self, record: Record) -> None:
        """Takes the slot of a batch that is to begin; ApiError (too_many_batches) without room."""
        owner, key = record.owner or "", self._key(record)
        self._s3.put_object(Bucket=self._environment.bucket, Key=key, Body=b"")
        slots = list(self._list())
        if self._refusal(owner, slots):
            slots = [slot for slot in slots if slot.key == key or self._is_under_way(slot)]
        if refusal := self._refusal(owner, slots):
            self.give_back(record)
            raise ApiError("too_many_batches", refusal)

    def give_back(self, record: Record) -> None:
        """Frees the slot of a batch that does not begin."""
        self._s3.delete_object(Bucket=self._environment.bucket, Key=self._key(record))

    def _refusal(self, owner: str, slots: Iterable[Slot]) -> str | None:
        """Why these are too many."""
        limits = self._environment
        everybodys = [slot.instances for slot in slots]
        own = [slot.instances for slot in slots if slot.owner == owner]
        if len(own) > limits.max_running_per_caller:
            return (
                f"You have {len(own) - 1} batches under way, and this stage allows"
                f" {limits.max_running_per_caller}. Wait until one has ended, or stop one."
            )
        if sum(own) > limits.max_instances_per_caller:
            return (
                f"Your batches would use {sum(own)} instances, and this stage allows"
                f" {limits.max_instances_per_caller}. Ask for fewer, wait until a batch has ended,"
                " or stop one."
            )
        if len(everybodys) > limits.max_running:
            return "This stage is running as many batches as it may. Try again later."
        if sum(everybodys) > limits.max_instances:
            return (
                "The batches of this stage are using as many instances as they may. Ask for fewer"
                " instances, or try again later."
            )
        return None

    def _is_under_way(self, slot: Slot) -> bool:
        """Whether a batch still needs its slot; frees it otherwise."""
        status = self._execution_status(slot.batch_id)
        if status == "RUNNING" or (status is None and self._may_begin(slot)):
            return True
        self._s3.delete_object(Bucket=self._environment.bucket, Key=slot.key)
        return False

    def _may_begin(self, slot: Slot) -> bool:
        record = self._read_record(slot.batch_id)
        if record is not None and record.stopped_at is not None:
            return False
        awaits_file = record is not None and record.input is None
        return datetime.now(UTC) - slot.taken_at < (
            _UPLOADED_WITHIN if awaits_file else _STARTS_WITHIN
        )

    def _list(self) -> Iterable[Slot]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._environment.bucket, Prefix=SLOTS_PREFIX
        )
        for page in pages:
            for found in page.get("Contents", ()):
                owner, batch_id, instances = found["Key"].removeprefix(SLOTS_PREFIX).split("/")
                yield Slot(found["Key"], owner, batch_id, int(instances), found["LastModified"])

    @staticmethod
    def _key(record: Record) -> str:
        return slot_key(record.owner or "", record.batch_id, record.instance_count)
