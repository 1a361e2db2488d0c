"""One index: its vectors and metadata, and what they have to be like."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from local_aws.s3_vectors.filters import Test
from local_aws.s3_vectors.refusals import invalid, too_many
from local_aws.service_errors import ApiError

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
CALLS_A_SECOND = 1_000
VECTORS_A_SECOND = 2_500
_METADATA_BYTES = 40 * 1024
_FILTERABLE_BYTES = 2 * 1024
_METADATA_KEYS = 50

Floats: TypeAlias = npt.NDArray[np.float32]


class Rate:
    """A token bucket that holds one second's worth.

    Args:
        a_second: How much is admitted a second.
        clock: Seconds from any start.
    """

    def __init__(self, a_second: float, clock: Callable[[], float]) -> None:
        self._a_second = a_second
        self._clock = clock
        self._left = a_second
        self._then = clock()

    def refill(self) -> float:
        """What is admitted now."""
        now = self._clock()
        self._left = min(self._a_second, self._left + (now - self._then) * self._a_second)
        self._then = now
        return self._left

    def take(self, amount: float) -> None:
        """Uses some of it."""
        self._left -= amount


@dataclass(frozen=True)
class Definition:
    """What is fixed when an index is created."""

    arn: str
    bucket: str
    name: str
    dimension: int
    metric: str
    non_filterable: frozenset[str] = frozenset()
    encryption: dict[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Found:
    """A vector of an index."""

    key: str
    row: int
    distance: float = 0.0


class VectorIndex:
    """An index of vectors in rows of one array; rows of deleted vectors are used again.

    Args:
        clock: For the rates of writes.
    """

    def __init__(self, definition: Definition, clock: Callable[[], float] = time.monotonic) -> None:
        self.definition = definition
        self._calls = Rate(CALLS_A_SECOND, clock)
        self._vectors = Rate(VECTORS_A_SECOND, clock)
        self._lock = threading.RLock()
        self._matrix: Floats = np.empty((0, definition.dimension), np.float32)
        self._norms: Floats = np.empty(0, np.float32)
        self._keys: list[str | None] = []  # by row; None for one that is free
        self._metadata: list[bytes] = []
        # Many vectors have the same filterable metadata, which is kept and tested once.
        self._kinds: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self._kind_of: dict[bytes, int] = {}
        self._filterable: list[dict[str, Any]] = []  # by kind
        self._rows: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, records: Sequence[dict[str, Any]]) -> None:
        """Adds vectors, or replaces those of the same keys: all of them or none.

        Raises:
            ApiError: ValidationException or TooManyRequestsException.
        """
        keys = [record["key"] for record in records]
        if len(set(keys)) != len(keys):
            raise invalid("Vector keys must be unique in a request", ("vectors", "duplicate keys"))
        vectors = self._check_vectors(
            keys, [record["data"].get("float32") for record in records], "vectors[{}].data"
        )
        metadata = [self._check_metadata(*each) for each in enumerate(records)]
        with self._lock:
            self._admit(len(records))
            for key, vector, (content, filterable) in zip(keys, vectors, metadata, strict=True):
                row = self._row_for(key)
                self._matrix[row] = vector
                self._norms[row] = np.linalg.norm(vector)
                self._metadata[row], self._kinds[row] = content, self._kind(filterable)

    def delete(self, keys: Collection[str]) -> None:
        """Removes vectors; those that do not exist count as removed.

        Raises:
            ApiError: TooManyRequestsException.
        """
        with self._lock:
            self._admit(len(keys))
            for key in keys:
                row = self._rows.pop(key, None)
                if row is not None:
                    self._keys[row] = None
                    self._metadata[row] = b""
                    self._free.append(row)

    def get(self, keys: Sequence[str]) -> list[Found]:
        """The vectors with these keys that exist."""
        with self._lock:
            return [Found(key, self._rows[key]) for key in keys if key in self._rows]

    def scan(self, start: int, segment: int = 0, segments: int = 1) -> Iterator[Found]:
        """The vectors from a row on, in the order of rows."""
        with self._lock:
            rows = list(enumerate(self._keys))[start:]
        yield from (
            Found(key, row) for row, key in rows if key is not None and row % segments == segment
        )

    def vector(self, row: int) -> Floats:
        """The numbers of a vector."""
        numbers: Floats = self._matrix[row]
        return numbers

    def metadata(self, row: int) -> bytes:
        """The metadata of a vector, as JSON; nothing if it has none."""
        return self._metadata[row]

    def nearest(self, numbers: Any, top: int, test: Test | None) -> list[Found]:
        """The nearest vectors that pass the test, the nearest first.

        Raises:
            ApiError: ValidationException.
        """
        query = self._check_vectors(None, [numbers], "queryVector")[0]
        with self._lock:
            used = len(self._keys)
            distances = self._distances(query, used)
            for row in self._free:
                distances[row] = np.inf
            if test is not None:
                passes = np.fromiter(map(test, self._filterable), bool, len(self._filterable))
                distances[~passes[self._kinds[:used]]] = np.inf
            # In single precision those at the edge may be in the wrong order.
            most = min(used, top + 64)
            rows = np.argpartition(distances, most - 1)[:most] if most else np.empty(0, int)
            rows = rows[np.isfinite(distances[rows])]
            exact = self._exact(query, rows)
            order = np.lexsort((rows, exact))[:top]
            return [
                Found(str(self._keys[rows[each]]), int(rows[each]), float(exact[each]))
                for each in order
            ]

    def _distances(self, query: Floats, used: int) -> Floats:
        products = self._matrix[:used] @ query
        norms = self._norms[:used]
        if self.definition.metric == "cosine":
            return np.asarray(1 - products / (norms * np.linalg.norm(query)), np.float32)
        return np.asarray(norms**2 - 2 * products + query @ query, np.float32)

    def _exact(self, query: Floats, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The distances of a few vectors in double precision."""
        few, one = self._matrix[rows].astype(float), query.astype(float)
        if self.definition.metric == "cosine":
            norms = np.linalg.norm(few, axis=1) * np.linalg.norm(one)
            return np.asarray(1 - few @ one / norms, float)
        return np.asarray(np.linalg.norm(few - one, axis=1), float)

    def _admit(self, vectors: int) -> None:
        if self._calls.refill() < 1 or self._vectors.refill() < vectors:
            raise too_many()
        self._calls.take(1)
        self._vectors.take(vectors)

    def _row_for(self, key: str) -> int:
        row = self._rows.get(key)
        if row is None:
            row = self._free.pop() if self._free else self._append()
            self._rows[key], self._keys[row] = row, key
        return row

    def _append(self) -> int:
        row = len(self._keys)
        if row == len(self._matrix):
            room = max(1024, 2 * row)
            matrix = np.empty((room, self.definition.dimension), np.float32)
            norms = np.empty(room, np.float32)
            kinds = np.empty(room, np.int32)
            matrix[:row], norms[:row], kinds[:row] = self._matrix, self._norms, self._kinds
            self._matrix, self._norms, self._kinds = matrix, norms, kinds
        self._keys.append(None)
        self._metadata.append(b"")
        return row

    def _kind(self, filterable: dict[str, Any]) -> int:
        text = orjson.dumps(filterable)
        kind = self._kind_of.get(text)
        if kind is None:
            kind = self._kind_of[text] = len(self._filterable)
            self._filterable.append(filterable)
        return kind

    def _check_vectors(self, keys: list[str] | None, rows: list[Any], path: str) -> Floats:
        """The rows as one array.

        Args:
            keys: Of the records, to name them in refusals; None for a query.
        """

        def wrong(number: int, why: str) -> ApiError:
            about = f"Invalid record for key '{keys[number]}': {why}" if keys else f"Query {why}"
            return invalid(about, (path.format(number), why))

        size = self.definition.dimension
        for number, row in enumerate(rows):
            if row is None:
                raise wrong(number, "vector must have data of type float32")
            if len(row) != size:
                raise wrong(number, f"vector must have length {size}, but has length {len(row)}")
        given = np.array(rows)
        if given.dtype.kind not in "fiu":
            raise ApiError("A vector may only contain numbers", "SerializationException")
        with np.errstate(over="ignore"):
            array = given.astype(np.float32)
        finite = np.isfinite(array).all(axis=1)
        if not finite.all():
            raise wrong(int(finite.argmin()), "vector must only contain finite float32 values")
        zero = ~array.any(axis=1)
        if self.definition.metric == "cosine" and zero.any():
            raise wrong(
                int(zero.argmax()), "cosine distance does not support vectors with zero norm"
            )
        return array

    def _check_metadata(self, number: int, record: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """The metadata of a record as JSON, and what of it is filterable."""
        given = record.get("metadata")
        if given is None:
            return b"", {}

        def wrong(why: str) -> ApiError:
            about = f"Invalid record for key '{record['key']}': {why}"
            return invalid(about, (f"vectors[{number}].metadata", why))

        if not isinstance(given, dict):
            raise wrong("Metadata must be an object")
        if len(given) > _METADATA_KEYS:
            raise wrong(f"Metadata object must have at most {_METADATA_KEYS} keys")
        for name, value in given.items():
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(each, str | bool | int | float) for each in values):
                raise wrong(f"Metadata '{name}' must be a string, a number, a boolean or a list")
        hidden = self.definition.non_filterable
        filterable = {name: value for name, value in given.items() if name not in hidden}
        content = orjson.dumps(given)
        if len(orjson.dumps(filterable)) > _FILTERABLE_BYTES:
            raise wrong(f"Filterable metadata must have at most {_FILTERABLE_BYTES} bytes")
        if len(content) > _METADATA_BYTES:
            raise wrong(f"Total metadata must have at most {_METADATA_BYTES} bytes")
        # orjson leaves room behind what it writes.
        return bytes(memoryview(content)), filterable
