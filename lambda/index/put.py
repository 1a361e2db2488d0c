"""The action "load": puts one output of the batch into the index."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from contract.vector_index import (
    ENTRY_START,
    MAX_REQUEST_BYTES,
    MAX_VECTORS_PUT,
    VECTOR_START,
    read_left_out,
)
from index import IndexLoadError
from index.vectors import StoredIndex

# What of a request's limit its lines may take: the call writes the same JSON anew.
_MOST_BYTES = MAX_REQUEST_BYTES * 3 // 4

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LoadCursor:
    """How far an output was loaded: what the workflow carries from one invocation to the next.

    Attributes:
        offset: bytes that are in the index.
        entries, vectors: how many these were.
        done: whether the output has been read to its end.
    """

    offset: int = 0
    entries: int = 0
    vectors: int = 0
    done: bool = False


class Loading:
    """Puts vectors into an index, no faster than its share of what the service allows.

    Args:
        index: where to.
        per_second: vectors.
    """

    def __init__(self, index: StoredIndex, per_second: float) -> None:
        self._index = index
        self._per_second = per_second
        self._next_call = 0.0
        self.sample: dict[str, Any] | None = None

    def run(
        self, lines: Iterable[bytes], cursor: LoadCursor, is_time_up: Callable[[], bool]
    ) -> None:
        """Moves the cursor on, to the end of the lines or until time is up.

        Putting a vector again replaces it, so an invocation that broke does no harm.
        """
        for group in groups(lines):
            self._put(group)
            cursor.offset += sum(map(len, group))
            cursor.entries += sum(is_entry(line) for line in group)
            cursor.vectors += sum(line.startswith(VECTOR_START) for line in group)
            if is_time_up():
                return
        cursor.done = True

    def _put(self, group: list[bytes]) -> None:
        vectors = [json.loads(line) for line in group if line.startswith(VECTOR_START)]
        if not vectors:
            return
        time.sleep(max(0.0, self._next_call - time.monotonic()))
        self._next_call = time.monotonic() + len(vectors) / self._per_second
        self._index.put(vectors)
        if self.sample is None:
            self.sample = {"key": vectors[0]["key"], "data": vectors[0]["data"]}


def groups(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lines with at most as many vectors as one call takes."""
    group: list[bytes] = []
    vectors = size = 0
    for line in lines:
        is_vector = line.startswith(VECTOR_START)
        if vectors + is_vector > MAX_VECTORS_PUT or (group and size + len(line) > _MOST_BYTES):
            yield group
            group, vectors, size = [], 0, 0
        group.append(line)
        vectors += is_vector
        size += len(line)
    if group:
        yield group


def is_entry(line: bytes) -> bool:
    """Whether the line is an entry's first vector, or says why it has none.

    Raises:
        IndexLoadError: the entry could not be encoded, or it is no line of the transform at all.
    """
    if line.startswith(VECTOR_START):
        return line.startswith(ENTRY_START)
    if line.isspace():
        return False
    try:
        left_out = read_left_out(line)
    except ValueError as error:
        raise IndexLoadError(f"The batch wrote what cannot be loaded: {error}.") from error
    if left_out.error:
        raise IndexLoadError(explained(left_out.entry_id, left_out.reason))
    logger.warning("Entry %s is not in the index: %s", left_out.entry_id, left_out.reason)
    return True


def explained(entry_id: str | None, reason: str) -> str:
    """Why an entry of the corpus cannot be in the index."""
    entry = "An entry" if entry_id is None else f"The entry {entry_id!r}"
    return f"{entry} of the corpus cannot be in the index: {reason.rstrip('.')}."


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Each line of an object with its line feed, which the last may lack."""
    rest: list[bytes] = []
    for chunk in chunks:
        *lines, last = chunk.split(b"\n")
        for line in lines:
            yield b"".join((*rest, line, b"\n"))
            rest.clear()
        if last:
            rest.append(last)
    if rest:
        yield b"".join(rest)


def as_document(cursor: LoadCursor) -> dict[str, Any]:
    """The cursor as JSON."""
    return asdict(cursor)
