"""Keeps the best entries of each query while blocks of scores pass by."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Positions = NDArray[np.intp]
# A found entry: its position in the corpus and its score. Making named tuples takes longer than
# searching a small index.
Match = tuple[int, np.float32]

# The first threshold comes from the maxima of this many groups of columns for each entry wanted.
GROUPS_PER_HIT = 8
LEAST_GROUPS = 128
# So few are partitioned faster than they are grouped.
FEW_SCORES = 2048
# What scores less, which is minus infinity, is never kept.
LOWEST = np.finfo(np.float32).min


class Best:
    """The `top_k` best entries of each query among those offered so far.

    Among equal scores the lower position comes first. All queries are handled at once: only scores
    above a query's worst kept one get a second look.
    """

    def __init__(self, queries: int, top_k: int) -> None:
        self._queries = queries
        self._top_k = top_k
        # The kept entries, query after query, best first.
        self._query: Positions = np.empty(0, dtype=np.intp)
        self._position: Positions = np.empty(0, dtype=np.intp)
        self._score: Vectors = np.empty(0, dtype=np.float32)
        # Later entries must score more than this: among equals the lower position wins.
        self._threshold: Vectors | None = None

    def offer(self, scores: Vectors, start: int) -> None:
        """Takes the good ones of the entries from position `start`: `scores` [queries, entries]."""
        width = scores.shape[1]
        if self._threshold is not None:
            found = np.flatnonzero(scores > self._threshold)
        else:
            found = np.flatnonzero(scores >= np.maximum(_least(scores, self._top_k), LOWEST))
        if not len(found):
            return
        if self._queries == 1:
            self._keep(found + start, scores[0][found])
            return
        query = found // width
        position = found - query * width
        score = scores[query, position]
        query = np.concatenate([self._query, query])
        position = np.concatenate([self._position, position + start])
        score = np.concatenate([self._score, score])
        # Stable, and positions ascend within each query, the kept ones before the new ones.
        order = np.lexsort((-score, query))
        query, position, score = query[order], position[order], score[order]
        firsts = np.searchsorted(query, np.arange(self._queries))
        kept = np.arange(len(query)) - firsts[query] < self._top_k
        self._query, self._position, self._score = query[kept], position[kept], score[kept]
        if len(self._query) == self._queries * self._top_k:
            self._threshold = self._score[self._top_k - 1 :: self._top_k, np.newaxis].copy()

    def _keep(self, position: Positions, score: Vectors) -> None:
        """Takes these entries of a single query, in fewer steps than several need."""
        if len(self._position):
            position = np.concatenate([self._position, position])
            score = np.concatenate([self._score, score])
        order = np.argsort(-score, kind="stable")[: self._top_k]
        self._position, self._score = position[order], score[order]
        self._query = np.zeros(len(order), dtype=np.intp)
        if len(order) == self._top_k:
            self._threshold = self._score[-1:, np.newaxis]

    def matches(self, scale: np.float32 | None = None) -> list[list[Match]]:
        """The kept entries of each query, best first, their scores multiplied by `scale`."""
        ends = np.searchsorted(self._query, np.arange(self._queries + 1)).tolist()
        score = self._score if scale is None else self._score * scale
        found = list(zip(self._position.tolist(), score, strict=True))
        return [found[start:end] for start, end in pairwise(ends)]


def _least(scores: Vectors, top_k: int) -> Vectors | float:
    """A score for each query [queries, 1] that at least `top_k` of its entries reach."""
    count, width = scores.shape
    if width <= top_k:
        return -np.inf
    groups = max(GROUPS_PER_HIT * top_k, LEAST_GROUPS)
    if scores.size > FEW_SCORES and width >= 2 * groups:
        # The k-th best of the maxima of groups is reached by k entries of different groups.
        size = width // groups
        scores = scores[:, : size * groups].reshape(count, size, groups).max(axis=1)
    kth = scores.shape[1] - top_k
    least: Vectors = np.partition(scores, kth, axis=1)[:, kth, np.newaxis]
    return least
