"""The action "split": checks the input and cuts it into shards of records and files of rejects."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from batch.steps import BatchError
from batch.steps.lines import (
    MAX_LINE_BYTES,
    RejectedLineError,
    check_beginning,
    read_entry,
    read_lines,
    read_record,
)
from batch.steps.objects import ObjectStream, ObjectWriter
from contract import vector_index
from contract.batch_objects import rejects_key, shard_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MAX_SHARD_BYTES = 64 * 1024 * 1024
MAX_SHARD_RECORDS = 50_000
"""A record's answer may be a hundred times its length, and a shard's answers are one object."""
MAX_REJECTS = 50_000
# Several shards for each instance, if they are worth it: a job that is stopped keeps the answers
# of whole shards only, and instances seldom finish at the same time.
_SHARDS_PER_INSTANCE = 4
_WORTH_A_SHARD = 1024 * 1024
_SHOWN_CHARACTERS = 500
MAX_RECORDS = 256
MAX_GROUP_BYTES = 1_000_000
# The server refuses to send more than 6,553,500.
_MAX_ANSWER_BYTES = 5_500_000
# The longest text of a float32 (-0.0000095130945), with its comma.
_NUMBER_BYTES = 17
# The longest id as JSON writes it in ASCII, and what surrounds id and vector.
_REST_BYTES = 3_200

_BEGIN, _END = b'{"records":[', b"]}\n"


@dataclass(slots=True)
class SplitCursor:
    """How far the input was read: what the workflow carries from one invocation to the next.

    All that decides how the rest is cut is in here or in the batch, so that a repeated invocation
    writes the same objects again, byte for byte.

    Attributes:
        etag, size: of the input: ETag and bytes.
        dimension: numbers in a vector of the model that was deployed at the beginning.
        offset: bytes read.
        line_number: lines begun.
        in_long_line: whether the offset lies within a line that was rejected for its length.
        shards, reject_parts: objects written.
        accepted, rejected, blank: lines of each kind.
        done: whether the input has been read to its end.
    """

    etag: str
    size: int
    dimension: int
    offset: int = 0
    line_number: int = 0
    in_long_line: bool = False
    shards: int = 0
    reject_parts: int = 0
    accepted: int = 0
    rejected: int = 0
    blank: int = 0
    done: bool = False


def split(
    s3: S3Client,
    bucket: str,
    event: Mapping[str, Any],
    read_dimension: Callable[[], int],
    is_time_up: Callable[[], bool],
) -> dict[str, Any]:
    """Reads on from event["cursor"], or from the beginning if that is null.

    Args:
        bucket: where shards and rejects go.
        read_dimension: of the deployed model; called once for each batch.
        is_time_up: whether to leave the rest to the next invocation.

    Returns:
        The next cursor.

    Raises:
        BatchError: the file as a whole cannot be used.
    """
    batch, document = event["batch"], event.get("cursor")
    source = batch["input"]
    etag = document["etag"] if document else None
    stream = ObjectStream(s3, source["bucket"], source["key"], source["version_id"], etag)
    if document:
        cursor = SplitCursor(**document)
        chunks = stream.chunks(cursor.offset)
    else:
        chunks = stream.chunks()
        beginning = next(chunks, b"")
        check_beginning(beginning)
        chunks = itertools.chain([beginning], chunks)
        cursor = SplitCursor(stream.etag or "", stream.size, read_dimension())
    segment_bytes = shard_bytes(cursor.size, batch["instance_count"])
    kind = CorpusSplitter if batch.get("of_corpus") else Splitter
    splitter = kind(s3, bucket, batch["batch_id"], read_lines(chunks), segment_bytes)
    while not cursor.done:
        splitter.split_segment(cursor)
        if is_time_up():
            break
    return asdict(cursor)


def shard_bytes(size: int, instance_count: int) -> int:
    """How much of the input goes into each shard.

    The number of shards is a multiple of the number of instances if lines are of similar length,
    since one instance processes a shard alone.
    """
    share = math.ceil(size / instance_count)
    for_balance = min(_SHARDS_PER_INSTANCE, math.ceil(share / _WORTH_A_SHARD))
    for_size = math.ceil(share / MAX_SHARD_BYTES)
    return max(1, math.ceil(share / max(1, for_balance, for_size)))


class Splitter:
    """Cuts the input into segments, by size and counts alone and never by time.

    Each segment becomes one shard, one file of rejects, both or neither.

    Args:
        lines: of the input, from the cursor's offset on; see `read_lines`.
    """

    def __init__(
        self, s3: S3Client, bucket: str, batch_id: str, lines: Iterator[bytes], segment_bytes: int
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._batch_id = batch_id
        self._lines = lines
        self._segment_bytes = segment_bytes

    def split_segment(self, cursor: SplitCursor) -> None:
        """Moves the cursor on by one segment."""
        accepted, rejected = cursor.accepted, cursor.rejected
        shard = ObjectWriter(self._s3, self._bucket, shard_key(self._batch_id, cursor.shards))
        rejects = ObjectWriter(
            self._s3, self._bucket, rejects_key(self._batch_id, cursor.reject_parts)
        )
        with shard, rejects:
            self._write(cursor, shard.write, rejects.write)
        cursor.shards += cursor.accepted > accepted
        cursor.reject_parts += cursor.rejected > rejected

    def _write(
        self,
        cursor: SplitCursor,
        write: Callable[[bytes], None],
        write_reject: Callable[[bytes], None],
    ) -> None:
        groups = RecordGroups(write, records_per_group(cursor.dimension))
        self._read(cursor, read_record, groups.add, write_reject)
        groups.flush()

    def _read(
        self,
        cursor: SplitCursor,
        read: Callable[[bytes], bytes | None],
        accept: Callable[[bytes], None],
        write_reject: Callable[[bytes], None],
    ) -> None:
        end = cursor.offset + self._segment_bytes
        max_accepted = cursor.accepted + MAX_SHARD_RECORDS
        max_rejected = cursor.rejected + MAX_REJECTS
        for line in self._lines:
            cursor.offset += len(line)
            if cursor.in_long_line:
                cursor.in_long_line = not line.endswith(b"\n")
            else:
                cursor.line_number += 1
                try:
                    record = _record(line, cursor, read)
                except RejectedLineError as error:
                    cursor.rejected += 1
                    write_reject(_reject(cursor.line_number, str(error), line))
                else:
                    if record is None:
                        cursor.blank += 1
                    else:
                        cursor.accepted += 1
                        accept(record)
            if (
                cursor.offset >= end
                or cursor.accepted == max_accepted
                or cursor.rejected == max_rejected
            ):
                break
        cursor.done = cursor.offset == cursor.size


class CorpusSplitter(Splitter):
    """The same for the lines of a corpus, of which none may be left out."""

    def _write(
        self,
        cursor: SplitCursor,
        write: Callable[[bytes], None],
        _write_reject: Callable[[bytes], None],
    ) -> None:
        groups = EntryGroups(write, cursor.dimension)

        def refuse(reject: bytes) -> None:
            found = json.loads(reject)
            raise BatchError(
                f"Line {found['line_number']:,} of the corpus cannot be used: {found['reason']}."
            )

        self._read(cursor, read_entry, lambda line: groups.add(line, cursor.line_number), refuse)
        groups.flush()


class EntryGroups:
    """Packs entries of a corpus into the lines of a shard, as `RecordGroups` does with records."""

    def __init__(self, write: Callable[[bytes], None], dimension: int) -> None:
        self._write = write
        self._dimension = dimension
        self._lines: list[bytes] = []
        self._first_line = self._bytes = self._answer_bytes = 0

    def add(self, line: bytes, number: int) -> None:
        """Adds a line of the corpus by its number."""
        answer = vector_index.answer_bytes(len(line), self._dimension)
        if (
            # The lines of a group follow each other; a blank one was skipped.
            number != self._first_line + len(self._lines)
            or len(self._lines) == vector_index.MAX_GROUP_ENTRIES
            or self._bytes + len(line) > vector_index.MAX_GROUP_BYTES
            or self._answer_bytes + answer > vector_index.MAX_ANSWER_BYTES
        ):
            self.flush()
            self._first_line = number
        self._lines.append(line)
        self._bytes += len(line) + 1
        self._answer_bytes += answer

    def flush(self) -> None:
        """Writes the group that has begun."""
        if self._lines:
            self._write(vector_index.entries_line(self._lines, self._first_line))
        self._lines.clear()
        self._bytes = self._answer_bytes = 0


def records_per_group(dimension: int) -> int:
    """How many records' answers are sure to fit one response, by the length of their vectors."""
    answer = dimension * _NUMBER_BYTES + _REST_BYTES
    return max(1, min(MAX_RECORDS, _MAX_ANSWER_BYTES // answer))


class RecordGroups:
    """Packs records into the lines of a shard, each of which the model answers in one request.

    A transform job that packs lines itself looks at the size of the request alone: a few thousand
    short records fit, and their answers exceed what the server can send. So each line is a group
    of records that is small enough both ways, and the job sends one line at a time.
    """

    def __init__(self, write: Callable[[bytes], None], max_records: int) -> None:
        self._write = write
        self._max_records = max_records
        self._records: list[bytes] = []
        self._bytes = 0

    def add(self, record: bytes) -> None:
        """Adds a record, as JSON."""
        if self._bytes + len(record) > MAX_GROUP_BYTES:
            self.flush()
        self._records.append(record)
        self._bytes += len(record) + 1
        if len(self._records) == self._max_records:
            self.flush()

    def flush(self) -> None:
        """Writes the group that has begun."""
        if self._records:
            self._write(_BEGIN + b",".join(self._records) + _END)
            self._records.clear()
            self._bytes = 0


def _record(
    line: bytes, cursor: SplitCursor, read: Callable[[bytes], bytes | None]
) -> bytes | None:
    if len(line) > MAX_LINE_BYTES:
        cursor.in_long_line = not line.endswith(b"\n")
        raise RejectedLineError(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
    return read(line)


def _reject(line_number: int, reason: str, line: bytes) -> bytes:
    """A line of a file of rejects."""
    # No character of UTF-8 is longer than four bytes.
    shown = line[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").rstrip("\r\n")
    reject = {"line_number": line_number, "reason": reason, "line": shown[:_SHOWN_CHARACTERS]}
    return json.dumps(reject).encode() + b"\n"
