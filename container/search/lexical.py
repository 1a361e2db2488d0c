"""A score for shared words, between 0 and 1: BM25, divided by what a perfect entry would reach.

Dividing by the perfect score, and not by the best one found, keeps scores comparable between
queries, and adds nothing where no words are shared.

Files, all mapped into memory: `terms.npy` (uint64, the terms' keys in ascending order),
`term_idf.npy` (float32), `term_starts.npy` (int64 [terms + 1], where a term's postings start),
`posting_entries.npy` (int32), `posting_weights.npy` (float32), and for terms in more than one entry
of eight, which have no postings, `term_dense.npy` (int32, a row number or -1) and `dense.npy`
(float32 [rows, entries]).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from container.search.arrays import mapped
from container.search.selection import Vectors
from container.search.terms import key, terms

K1, B = 1.2, 0.75
# Terms in more than one entry of this many have a dense row: adding it beats adding postings.
DENSE_SHARE = 8
REMEMBERED_TERMS = 20_000
# Scores that are summed at once; so many stay in the processor's cache.
GROUP_SCORES = 1 << 17
# From this many queries on, one product adds all dense rows faster than they are added singly.
QUERIES_FOR_PRODUCT = 8


def idf(found_in: NDArray[np.float64] | float, entries: int) -> NDArray[np.float64]:
    """How much a term says that stands in so many of the entries."""
    weight: NDArray[np.float64] = np.log(1 + (entries - found_in + 0.5) / (found_in + 0.5))
    return weight


class _Term(NamedTuple):
    """A term: its idf, and its dense row or else its postings."""

    idf: float
    dense: int = -1
    entries: NDArray[np.int32] | None = None
    weights: Vectors | None = None


class Lexical:
    """The lexical part of an index."""

    def __init__(self, folder: Path, entries: int) -> None:
        """Raises OSError or ValueError for files that cannot be read or do not fit."""
        self._entries = entries
        self._terms = mapped(folder / "terms.npy", np.uint64, (None,))
        count = len(self._terms)
        self._idf = mapped(folder / "term_idf.npy", np.float32, (count,))
        self._starts = mapped(folder / "term_starts.npy", np.int64, (count + 1,))
        postings = int(self._starts[-1])
        self._posting_entries = mapped(folder / "posting_entries.npy", np.int32, (postings,))
        self._posting_weights = mapped(folder / "posting_weights.npy", np.float32, (postings,))
        self._dense_of = mapped(folder / "term_dense.npy", np.int32, (count,))
        self._dense = mapped(folder / "dense.npy", np.float32, (None, entries))
        self._unknown = _Term(float(idf(0.0, entries)))
        self._remembered: dict[str, _Term] = {}

    def scores(self, queries: Sequence[str], weight: float = 1.0) -> Vectors:
        """Each entry's score for each query, times `weight`: [queries, entries]."""
        asked = [list(dict.fromkeys(terms(query))) for query in queries]
        group = max(1, GROUP_SCORES // self._entries)
        if len(asked) <= group:
            return self._scores(asked, weight)
        scores = np.empty((len(asked), self._entries), dtype=np.float32)
        for start in range(0, len(asked), group):
            scores[start : start + group] = self._scores(asked[start : start + group], weight)
        return scores

    def _scores(self, asked: Sequence[Sequence[str]], weight: float) -> Vectors:
        count, entries = len(asked), self._entries
        factors = np.zeros((count, 1), dtype=np.float32)
        columns: list[NDArray[np.int32]] = []
        weights: list[Vectors] = []
        rows: list[int] = []
        dense: list[tuple[int, int]] = []
        for row, query in enumerate(asked):
            perfect = 0.0
            for term in query:
                found = self._remembered.get(term) or self._look_up(term)
                perfect += found.idf
                if found.dense >= 0:
                    dense.append((row, found.dense))
                elif found.entries is not None and found.weights is not None:
                    columns.append(found.entries)
                    weights.append(found.weights)
                    rows.append(row)
            if perfect:
                factors[row] = weight / perfect
        if not columns:
            scores = np.zeros((count, entries), dtype=np.float32)
        else:
            places = np.concatenate(columns)
            if count > 1:
                places = places + np.repeat(np.array(rows) * entries, list(map(len, columns)))
            sums = np.bincount(places, np.concatenate(weights), minlength=count * entries)
            scores = sums.astype(np.float32).reshape(count, entries)
        if count < QUERIES_FOR_PRODUCT:
            for row, number in dense:
                scores[row] += self._dense[number]
        elif dense:
            chosen = np.zeros((count, len(self._dense)), dtype=np.float32)
            chosen[tuple(zip(*dense, strict=True))] = 1
            scores += chosen @ self._dense
        scores *= factors
        return scores

    def _look_up(self, term: str) -> _Term:
        wanted = np.uint64(key(term))
        place = int(np.searchsorted(self._terms, wanted))
        if place == len(self._terms) or self._terms[place] != wanted:
            found = self._unknown
        else:
            start, end = int(self._starts[place]), int(self._starts[place + 1])
            found = _Term(
                float(self._idf[place]),
                int(self._dense_of[place]),
                self._posting_entries[start:end],
                self._posting_weights[start:end],
            )
        if len(self._remembered) >= REMEMBERED_TERMS:
            self._remembered.clear()
        self._remembered[term] = found
        return found
