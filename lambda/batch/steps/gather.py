"""The action "gather": counts what a transform job gave, merges it where asked, and reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from botocore.client import BaseClient

from batch.steps import failure_reasons
from batch.steps.answer_count import count_answers
from batch.steps.errors import BatchError
from batch.steps.merge import Merge, MergeCursor
from batch.steps.object_stream import ObjectStream
from batch.steps.outputs import Output, list_outputs
from batch.steps.report import Outcome, Status
from contract.batch_objects import merged_key

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class GatherCursor:
    """How far the gathering is: what the workflow carries from one invocation to the next.

    Attributes:
        shard: number of the next to be counted.
        embedded, failed: records with a vector, and with an error instead, of those before it.
        merge: see MergeCursor.
    """

    shard: int = 0
    embedded: int = 0
    failed: int = 0
    merge: MergeCursor = field(default_factory=MergeCursor)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The cursor of a document, which may have other members."""
        return cls(
            shard=document["shard"],
            embedded=document["embedded"],
            failed=document["failed"],
            merge=MergeCursor(**document["merge"]),
        )

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Gathering:
    """Goes on with what a batch gave from event["gather"], or begins where that is null.

    Args:
        s3: a boto3 client.
        bucket: the batch bucket.
        event: with batch, cursor, transform_job, job and gather.

    Attributes:
        cursor: how far it is.
        outputs: what there is, in order.
        outcome: how the batch ended; None until run has come to the end.
    """

    def __init__(self, s3: BaseClient, bucket: str, event: Mapping[str, Any]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._event = event
        document = event.get("gather")
        self.cursor = GatherCursor.read(document) if document else GatherCursor()
        self._by_shard = list_outputs(s3, bucket, event["batch"]["batch_id"])
        self.outputs = list(self._by_shard.values())
        self.outcome: Outcome | None = None

    def run(self, is_time_up: Callable[[], bool]) -> None:
        """Move the cursor on, to the end or until time is up."""
        while self.cursor.shard < self._event["cursor"]["shards"]:
            self._count(self._by_shard.get(self.cursor.shard))
            if is_time_up():
                return
        outcome = self._ended()
        if outcome.status == "completed" and self._event["batch"]["merge"]:
            self._merge(outcome, is_time_up)
        else:
            self.outcome = outcome

    def _count(self, output: Output | None) -> None:
        """Count one shard's answers; there are none where its job did not come to it."""
        if output:
            counted = count_answers(ObjectStream(self._s3, self._bucket, output.key).chunks())
            self.cursor.embedded += counted.embedded
            self.cursor.failed += counted.failed
        self.cursor.shard += 1

    def _ended(self) -> Outcome:
        job, embedded, failed = self._event["job"], self.cursor.embedded, self.cursor.failed
        accepted, answered = self._event["cursor"]["accepted"], embedded + failed
        missing = [] if answered == accepted else [failure_reasons.of_missing(accepted, answered)]
        if job["TransformJobStatus"] == "Completed":
            return Outcome(
                "failed" if missing else "completed",
                " ".join(missing) or None,
                embedded,
                failed,
            )
        name = self._event["transform_job"]["TransformJobName"]
        reason = " ".join([failure_reasons.of_job(name, job), *missing])
        status: Status = "stopped" if job["TransformJobStatus"] == "Stopped" else "failed"
        return Outcome(status, reason, embedded, failed)

    def _merge(self, outcome: Outcome, is_time_up: Callable[[], bool]) -> None:
        key = merged_key(self._event["batch"]["batch_id"])
        try:
            merge = Merge(self._s3, self._bucket, key, self.outputs)
        except BatchError as error:
            # The results are there; that they are in many files is worth a sentence, no failure.
            _log.warning("Not merged: %s", error)
            self.outcome = Outcome("completed", str(error), outcome.embedded, outcome.failed)
            return
        merge.run(self.cursor.merge, is_time_up)
        if self.cursor.merge.done:
            self.outcome = Outcome(
                "completed", None, outcome.embedded, outcome.failed, is_merged=True
            )
