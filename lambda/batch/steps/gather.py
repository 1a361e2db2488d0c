"""The action "gather": counts what a transform job wrote, and merges it if that was asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from batch.steps import BatchError
from batch.steps.merge import Merge, MergeCursor
from batch.steps.objects import ObjectStream, Output, list_outputs
from batch.steps.report import Outcome, Status, reason_of_job, reason_of_missing
from contract.batch_objects import merged_key
from contract.vector_index import ENTRY_START

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# As the container writes them. Inside a string the quotes would be escaped, so these are keys.
_EMBEDDED = b'"embedding":['
_FAILED = b'"error":"'
# Of an entry of a corpus without vectors.
_LEFT_OUT = b'"left_out":"'

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class GatherCursor:
    """How far the gathering is: what the workflow carries from one invocation to the next.

    Attributes:
        shard: number of the next shard to count.
        embedded, failed: records with a vector, and with an error instead, in those before it.
    """

    shard: int = 0
    embedded: int = 0
    failed: int = 0
    merge: MergeCursor = field(default_factory=MergeCursor)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The cursor in a document, which may have other members."""
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
    """Goes on with a batch's results from event["gather"], or begins if that is null.

    Args:
        bucket: the batch bucket.
        event: with batch, cursor, transform_job, job and gather.

    Attributes:
        cursor: how far it is.
        outputs: what the transform job wrote, in order.
        outcome: how the batch ended; None until `run` has reached the end.
    """

    def __init__(self, s3: S3Client, bucket: str, event: Mapping[str, Any]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._event = event
        document = event.get("gather")
        self.cursor = GatherCursor.read(document) if document else GatherCursor()
        self._is_corpus = event["batch"].get("of_corpus", False)
        self._by_shard = list_outputs(s3, bucket, event["batch"]["batch_id"])
        self.outputs = list(self._by_shard.values())
        self.outcome: Outcome | None = None

    def run(self, is_time_up: Callable[[], bool]) -> None:
        """Moves the cursor on, to the end or until time is up."""
        while self.cursor.shard < self._event["cursor"]["shards"]:
            self._count(self._by_shard.get(self.cursor.shard))
            if is_time_up():
                return
        outcome = self._unmerged()
        if outcome.status == "completed" and self._event["batch"]["merge"]:
            self._merge(outcome, is_time_up)
        else:
            self.outcome = outcome

    def _count(self, output: Output | None) -> None:
        """Counts the answers to one shard, which has none if its job did not reach it."""
        if output:
            stream = ObjectStream(self._s3, self._bucket, output.key)
            answered = (ENTRY_START, _LEFT_OUT) if self._is_corpus else (_EMBEDDED,)
            embedded, failed = count_answers(stream.chunks(), answered)
            self.cursor.embedded += embedded
            self.cursor.failed += failed
        self.cursor.shard += 1

    def _unmerged(self) -> Outcome:
        """How the batch ended, apart from the merged file."""
        job, embedded, failed = self._event["job"], self.cursor.embedded, self.cursor.failed
        accepted, answered = self._event["cursor"]["accepted"], embedded + failed
        reasons = [] if answered == accepted else [reason_of_missing(accepted, answered)]
        status: Status = "failed" if reasons else "completed"
        if job["TransformJobStatus"] != "Completed":
            name = self._event["transform_job"]["TransformJobName"]
            reasons.insert(0, reason_of_job(name, job))
            status = "stopped" if job["TransformJobStatus"] == "Stopped" else "failed"
        return Outcome(status, " ".join(reasons) or None, embedded, failed)

    def _merge(self, outcome: Outcome, is_time_up: Callable[[], bool]) -> None:
        key = merged_key(self._event["batch"]["batch_id"])
        try:
            merge = Merge(self._s3, self._bucket, key, self.outputs)
        except BatchError as error:
            # The results are complete, only in many files: worth a sentence, but not a failure.
            logger.warning("Not merged: %s", error)
            self.outcome = replace(outcome, reason=str(error))
            return
        merge.run(self.cursor.merge, is_time_up)
        if self.cursor.merge.done:
            self.outcome = replace(outcome, is_merged=True)


def count_answers(
    chunks: Iterable[bytes], answered: Sequence[bytes] = (_EMBEDDED,)
) -> tuple[int, int]:
    """Counts the records of one output that are answered, and those that have an error.

    Does not parse them: they are many gigabytes, and all alike.

    Args:
        answered: what one of them each answered record has once.
    """
    embedded = failed = 0
    end = b""
    overlap = max(map(len, (*answered, _FAILED))) - 1
    for chunk in chunks:
        # A key may be split between two chunks; one that lies before was counted.
        seen = end + chunk
        embedded += sum(seen.count(mark) - end.count(mark) for mark in answered)
        failed += seen.count(_FAILED) - end.count(_FAILED)
        end = seen[-overlap:]
    return embedded, failed
