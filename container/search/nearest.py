"""Exact nearest neighbours: matrix products block by block, and a running threshold.

Only scores above the worst of those kept so far get a second look, so a search costs little more
than reading the rows once. Float32 throughout: NumPy has no matrix product for half precision, and
converting rows block by block takes several times as long as the product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

# Bytes of scores held at a time. Few large products beat many small ones, each of which wakes and
# joins the library's threads.
BLOCK_BYTES = 4 << 20
# Queries in one product.
MOST_QUERIES = 256
# Rows whose best scores give the first threshold.
SAMPLE_ROWS = 4096


class Match(NamedTuple):
    """A found entry: its position in the corpus and its cosine similarity."""

    position: int
    score: np.float32


def normalized(vectors: Vectors) -> Vectors:
    """The vectors at unit length; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, np.maximum(lengths, 1e-12), dtype=np.float32)
    return unit


def nearest(
    queries: Vectors, rows: Vectors, top_k: int, rows_per_entry: int = 1
) -> list[list[Match]]:
    """The `top_k` best entries for each query, best first.

    `queries` [n, dimension] and `rows` [entries * rows_per_entry, dimension] have unit length.
    An entry's score is that of its best row. Among equal scores the lower position comes first. A
    `top_k` beyond the number of entries returns them all.
    """
    return [
        matches
        for start in range(0, len(queries), MOST_QUERIES)
        for matches in _search(queries[start : start + MOST_QUERIES], rows, top_k, rows_per_entry)
    ]


def _search(queries: Vectors, rows: Vectors, top_k: int, rows_per_entry: int) -> list[list[Match]]:
    block = max(1, BLOCK_BYTES // (4 * len(queries)))
    block += -block % rows_per_entry
    scores = np.empty((len(queries), min(block, len(rows))), dtype=np.float32)
    best = [_Best(top_k, rows_per_entry) for _ in queries]
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        found = scores[:, : len(part)]
        np.matmul(queries, part.T, out=found)
        for one, of_query, highest in zip(best, found, found.max(axis=1), strict=True):
            if highest > one.threshold:
                one.offer(of_query, start)
    return [one.matches() for one in best]


class _Best:
    """The best entries for one query among the rows offered so far."""

    def __init__(self, top_k: int, rows_per_entry: int) -> None:
        self._top_k = top_k
        self._rows_per_entry = rows_per_entry
        # This many rows belong to at least `top_k` entries.
        self._enough_rows = top_k * rows_per_entry
        self._scores = np.empty(0, dtype=np.float32)
        self._entries = np.empty(0, dtype=np.int64)
        # Later rows must score more than this: among equals the lower position wins.
        self.threshold = -np.inf

    def offer(self, scores: Vectors, start: int) -> None:
        """Takes the good ones of the rows from row `start`, where an entry begins."""
        if np.isneginf(self.threshold):
            least = _kth_best(scores[: max(SAMPLE_ROWS, self._enough_rows)], self._enough_rows)
            rows = np.flatnonzero(scores >= least)
        else:
            rows = np.flatnonzero(scores > self.threshold)
        found = scores[rows]
        if len(rows) > self._enough_rows:
            enough = found >= _kth_best(found, self._enough_rows)
            rows, found = rows[enough], found[enough]
        entries = np.concatenate([self._entries, (rows + start) // self._rows_per_entry])
        found = np.concatenate([self._scores, found])
        order = np.lexsort((entries, -found))
        if self._rows_per_entry > 1:
            # The first of an entry's rows in this order is its best one.
            order = order[np.sort(np.unique(entries[order], return_index=True)[1])]
        order = order[: self._top_k]
        self._entries, self._scores = entries[order], found[order]
        if len(order) == self._top_k:
            self.threshold = self._scores[-1]

    def matches(self) -> list[Match]:
        """The kept entries, best first."""
        return list(map(Match, self._entries.tolist(), self._scores))


def _kth_best(scores: Vectors, count: int) -> np.float32 | float:
    """The `count`-th highest score, or minus infinity if there are fewer."""
    if len(scores) < count:
        return -np.inf
    least: np.float32 = np.partition(scores, -count)[-count]
    return least
