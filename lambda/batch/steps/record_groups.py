"""Packs records into the lines of a shard, each of which the model answers in one request.

A transform job that packs lines itself looks at the size of the request alone: a few thousand
short records fit, and their answers exceed what the server can send. So each line is a group of
records that is small enough both ways, and the job sends one line at a time.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_RECORDS = 256
MAX_GROUP_BYTES = 1_000_000
# The server refuses to send more than 6,553,500.
_MAX_ANSWER_BYTES = 5_500_000
# The longest text of a float32 (-0.0000095130945), with its comma.
_NUMBER_BYTES = 17
# The longest id as JSON writes it in ASCII, and what surrounds id and vector.
_REST_BYTES = 3_200

_BEGIN, _END = b'{"records":[', b"]}\n"


def records_per_group(dimension: int) -> int:
    """How many records' answers are sure to fit one response, by the length of their vectors."""
    answer = dimension * _NUMBER_BYTES + _REST_BYTES
    return max(1, min(MAX_RECORDS, _MAX_ANSWER_BYTES // answer))


class RecordGroups:
    """Collects records and writes them in groups of at most `max_records`."""

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
