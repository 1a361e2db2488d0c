"""Exact nearest neighbours: matrix products block by block, and a running threshold.

Only scores that reach the worst of those kept so far are looked at twice, so that a search costs
little more than reading the rows once. Float32 throughout: NumPy has no matrix product for half
precision, and turning rows into float32 block by block takes several times what the product takes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

# Bytes of scores held at a time. Few large products beat many small ones, which wake and join the
# library's threads each time.
BLOCK_BYTES = 4 << 20
# Queries in one product.
MOST_QUERIES = 256
# Rows whose best scores give the first threshold.
SAMPLE_ROWS = 4096


class Match(NamedTuple):
    """One found entry: its position in the corpus and its cosine similarity."""

    position: int
    score: float


def normalized(vectors: Vectors) -> Vectors:
    """The vectors at unit length; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, np.maximum(lengths, 1e-12), dtype=np.float32)
    return unit


def nearest(
    queries: Vectors, rows: Vectors, top_k: int, rows_per_entry: int = 1
) -> list[list[Match]]:
    """The ``top_k`` best entries for each query, best first.

    ``queries`` [n, dimension] and ``rows`` [entries * rows_per_entry, dimension] have unit length.
    An entry scores by the best of its rows. Among equal scores the lower position comes first. A
    ``top_k`` beyond the number of entries gives them all.
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
        # Of so many rows at least ``top_k`` entries have one.
        self._enough_rows = top_k * rows_per_entry
        self._scores = np.empty(0, dtype=np.float32)
        self._entries = np.empty(0, dtype=np.int64)
        # A row must score more; as much is not enough, since its position is higher.
        self.threshold = -np.inf

    def offer(self, scores: Vectors, start: int) -> None:
        """Takes what is good enough of the rows that begin at row ``start``, a new entry's."""
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
            # The first of an entry's rows in this order is its best.
            order = order[np.sort(np.unique(entries[order], return_index=True)[1])]
        order = order[: self._top_k]
        self._entries, self._scores = entries[order], found[order]
        if len(order) == self._top_k:
            self.threshold = self._scores[-1]

    def matches(self) -> list[Match]:
        """The entries that are kept, best first."""
        pairs = zip(self._entries.tolist(), self._scores.tolist(), strict=True)
        return [Match(entry, score) for entry, score in pairs]


def _kth_best(scores: Vectors, count: int) -> np.float32 | float:
    """The ``count``-th highest score; where there are fewer, what any score reaches."""
    if len(scores) < count:
        return -np.inf
    least: np.float32 = np.partition(scores, -count)[-count]
    return least
