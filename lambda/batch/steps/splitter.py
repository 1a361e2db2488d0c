"""Cuts the lines of the input into shards of records and files of rejects."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

from botocore.client import BaseClient

from batch.steps.line_check import RejectedLineError, read_record
from batch.steps.line_reader import MAX_LINE_BYTES
from batch.steps.object_writer import ObjectWriter
from batch.steps.record_groups import RecordGroups, records_per_group
from batch.steps.split_cursor import SplitCursor
from contract.batch_objects import rejects_key, shard_key

MAX_SHARD_BYTES = 64 * 1024 * 1024
MAX_SHARD_RECORDS = 50_000
"""A record's answer may be a hundred times its length, and a shard's answers are one object."""
MAX_REJECTS = 50_000
# An instance gets several shards where that is worth it: a job that is stopped keeps the answers
# of whole shards only, and instances seldom finish at the same time.
_SHARDS_PER_INSTANCE = 4
_WORTH_A_SHARD = 1024 * 1024
_SHOWN_CHARACTERS = 500


def shard_bytes(size: int, instance_count: int) -> int:
    """How much of the input goes into each shard.

    The number of shards is a multiple of the number of instances, where lines are of like length:
    one shard is one instance's business.

    Args:
        size: of the input, in bytes.
        instance_count: of the transform job.
    """
    share = math.ceil(size / instance_count)
    for_balance = min(_SHARDS_PER_INSTANCE, math.ceil(share / _WORTH_A_SHARD))
    for_size = math.ceil(share / MAX_SHARD_BYTES)
    return max(1, math.ceil(share / max(1, for_balance, for_size)))


class Splitter:
    """Reads lines on from a cursor.

    The input is cut into segments by size and counts alone, never by time. Each gives one shard,
    one file of rejects, both or neither.

    Args:
        s3: a boto3 client.
        bucket: where shards and rejects go.
        batch_id: whose.
        lines: of the input, from the cursor's offset on; see read_lines.
        segment_bytes: how much of the input makes a segment.
    """

    def __init__(
        self,
        s3: BaseClient,
        bucket: str,
        batch_id: str,
        lines: Iterator[bytes],
        segment_bytes: int,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._batch_id = batch_id
        self._lines = lines
        self._segment_bytes = segment_bytes

    def run(self, cursor: SplitCursor, is_time_up: Callable[[], bool]) -> None:
        """Move the cursor on, by one segment at least, to the end or until time is up."""
        while True:
            self._segment(cursor)
            if cursor.done or is_time_up():
                return

    def _segment(self, cursor: SplitCursor) -> None:
        accepted, rejected = cursor.accepted, cursor.rejected
        shard = self._writer(shard_key(self._batch_id, cursor.shards))
        rejects = self._writer(rejects_key(self._batch_id, cursor.reject_parts))
        with shard, rejects:
            groups = RecordGroups(shard.write, records_per_group(cursor.dimension))
            self._read(cursor, groups.add, rejects.write)
            groups.flush()
        cursor.shards += cursor.accepted > accepted
        cursor.reject_parts += cursor.rejected > rejected

    def _read(
        self,
        cursor: SplitCursor,
        accept: Callable[[bytes], None],
        write_reject: Callable[[bytes], None],
    ) -> None:
        """Read the lines of one segment."""
        end = cursor.offset + self._segment_bytes
        most_accepted = cursor.accepted + MAX_SHARD_RECORDS
        most_rejected = cursor.rejected + MAX_REJECTS
        for line in self._lines:
            cursor.offset += len(line)
            if cursor.in_long_line:
                cursor.in_long_line = not line.endswith(b"\n")
            else:
                cursor.line_number += 1
                try:
                    record = self._record(line, cursor)
                except RejectedLineError as fault:
                    cursor.rejected += 1
                    write_reject(_reject(cursor.line_number, str(fault), line))
                else:
                    if record is None:
                        cursor.blank += 1
                    else:
                        cursor.accepted += 1
                        accept(record)
            if (
                cursor.offset >= end
                or cursor.accepted == most_accepted
                or cursor.rejected == most_rejected
            ):
                break
        cursor.done = cursor.offset == cursor.size

    @staticmethod
    def _record(line: bytes, cursor: SplitCursor) -> bytes | None:
        if len(line) > MAX_LINE_BYTES:
            cursor.in_long_line = not line.endswith(b"\n")
            raise RejectedLineError(
                f"the line is longer than {MAX_LINE_BYTES:,} bytes, and its rest was passed over"
            )
        return read_record(line)

    def _writer(self, key: str) -> ObjectWriter:
        return ObjectWriter(self._s3, self._bucket, key)


def _reject(line_number: int, reason: str, line: bytes) -> bytes:
    """A line of a file of rejects."""
    # No character of UTF-8 is longer than four bytes.
    shown = line[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").rstrip("\r\n")
    reject = {
        "line_number": line_number,
        "reason": reason,
        "line": shown[:_SHOWN_CHARACTERS],
    }
    return json.dumps(reject).encode() + b"\n"
