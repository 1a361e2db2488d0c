"""The rates of writes, and the rows of deleted vectors."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws.s3_vectors.index import Definition, VectorIndex
from local_aws.service_errors import ApiError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock) -> VectorIndex:
    return VectorIndex(Definition("arn", "bucket", "name", 2, "euclidean"), clock)


def records(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"key": str(number), "data": {"float32": [number, 0]}}
        for number in range(start, start + count)
    ]


def test_2500_vectors_a_second() -> None:
    clock = Clock()
    index = make(clock)
    for number in range(5):
        index.put(records(500, number * 500))
    with pytest.raises(ApiError) as caught:
        index.put(records(1, 2500))
    assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
    clock.now = 0.2
    index.delete([str(number) for number in range(500)])  # counts as well
    with pytest.raises(ApiError):
        index.delete(["500"])
    clock.now = 100
    for number in range(5):
        index.put(records(500, number * 500))
    with pytest.raises(ApiError):
        index.put(records(1))
    assert len(index) == 2500


def test_1000_calls_a_second() -> None:
    clock = Clock()
    index = make(clock)
    for _ in range(1000):
        index.put(records(1))
    with pytest.raises(ApiError):
        index.put(records(1))
    clock.now = 0.0011
    index.put(records(1))


def test_rows_of_deleted_vectors_are_used_again() -> None:
    index = make(Clock())
    index.put(records(3))
    index.delete(["1"])
    assert [found.key for found in index.nearest([1, 0], 3, None)] == ["0", "2"]
    index.put(records(1, 3))
    assert [found.key for found in index.scan(0)] == ["0", "3", "2"]
    assert [found.key for found in index.nearest([3, 0], 1, None)] == ["3"]
