"""The index of a baked corpus: its vectors, its terms and its entries, searched exactly.

Files beside those of `container.search.lexical`: `embeddings.npy` (float32 [views, entries,
dimension], rows of unit length), `extra_<view>.npy` and `extra_<view>_owners.npy` (further rows of
some entries, and their positions), `entries.jsonl` (one entry a line), `offsets.npy` (int64
[entries + 1], where each line starts), `same_answer.npy` (int32, the first entry with the same
answer), `category_keys.npy` and `category_entries.npy` (pairs, in ascending order). All are
memory-mapped, so opening a million rows copies nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from container.errors import LoadError
from container.search.arrays import mapped
from container.search.lexical import Lexical
from container.search.nearest import (
    MOST_QUERIES,
    ExtraRows,
    best_entries,
    nearest,
    normalized,
)
from container.search.selection import Match, Vectors
from container.search.terms import key
from container.search.views import SEARCHED, VIEWS

# score = 2/3 of the vectors' part + 1/3 of the lexical one, so it is 1 at most.
LEXICAL_WEIGHT = 0.5
SCALE = np.float32(1 / (1 + LEXICAL_WEIGHT))
# Bytes of lexical scores held at a time: one for each query and entry.
LEXICAL_BYTES = 64 << 20
# Where identical answers leave too few hits, the search is repeated for this many times as many.
ASK_AGAIN = 4


class Index:
    """An index opened for searching."""

    def __init__(self, folder: Path, entries: int, dimension: int, ranking: str) -> None:
        """Opens `folder`; raises LoadError unless it holds `entries` of `dimension`."""
        views = VIEWS[ranking]
        try:
            shape = (len(views), entries, dimension)
            self.views: Vectors = mapped(folder / "embeddings.npy", np.float32, shape)
            self._extras = [_extra_rows(folder, view, dimension) for view in views]
            self._lexical = Lexical(folder, entries)
            self._offsets = mapped(folder / "offsets.npy", np.int64, (entries + 1,))
            self._entry_lines = np.asarray(
                np.memmap(folder / "entries.jsonl", dtype=np.uint8, mode="r")
            )
            self._same_answer = mapped(folder / "same_answer.npy", np.int32, (entries,))
            self._category_keys = mapped(folder / "category_keys.npy", np.uint64, (None,))
            pairs = len(self._category_keys)
            self._category_entries = mapped(folder / "category_entries.npy", np.int32, (pairs,))
        except (OSError, ValueError) as error:
            raise LoadError(f"the index cannot be read: {error}") from error
        if int(self._offsets[-1]) != len(self._entry_lines):
            raise LoadError(
                f"the index's entries are broken: {len(self._entry_lines)} bytes instead of"
                f" {int(self._offsets[-1])}"
            )
        searched = len(views) - len(SEARCHED[ranking])
        self._searched = self.views[searched:]
        self._searched_extras = self._extras[searched:]
        self._repeats = bool((self._same_answer != np.arange(entries)).any())

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._offsets) - 1

    @property
    def rows(self) -> int:
        """The number of all vectors."""
        extras = sum(len(extra.owners) for extra in self._extras if extra is not None)
        return int(np.prod(self.views.shape[:2])) + extras

    def search(
        self,
        vectors: Vectors,
        top_k: int,
        queries: Sequence[str] | None = None,
        categories: Sequence[str] | None = None,
    ) -> list[list[Match]]:
        """The `top_k` best entries with different answers for each query, best first.

        Args:
            vectors: of the queries [n, dimension].
            queries: their texts, for the lexical part; None scores by vectors alone.
            categories: only entries in one of them are found.
        """
        vectors = normalized(vectors)
        barred = None if categories is None else self._barred(categories)
        at_once = MOST_QUERIES
        if queries is not None:
            at_once = max(1, min(MOST_QUERIES, LEXICAL_BYTES // (4 * len(self))))
        return [
            matches
            for start in range(0, len(vectors), at_once)
            for matches in self._different(
                vectors[start : start + at_once],
                top_k,
                None if queries is None else queries[start : start + at_once],
                barred,
            )
        ]

    def nearest_answers(self, vectors: Vectors, top_k: int) -> list[list[Match]]:
        """The `top_k` entries whose whole answers, as the model cuts them, are nearest."""
        return nearest(normalized(vectors), self.views[0], top_k)

    def passage(self, position: int, vector: Vectors) -> int:
        """The number, from 0, of the passage of an entry's answer that is nearest to a query."""
        extra = self._extras[0]
        if extra is None:
            return 0
        first, last = np.searchsorted(extra.owners, (position, position + 1))
        scores = extra.rows[first:last] @ vector
        if not len(scores) or scores.max() <= self.views[0, position] @ vector:
            return 0
        return int(scores.argmax()) + 1

    def entry(self, position: int) -> dict[str, Any]:
        """The entry at `position`: `id` and, if texts are stored, the rest of it."""
        start, stop = int(self._offsets[position]), int(self._offsets[position + 1])
        found: dict[str, Any] = json.loads(self._entry_lines[start:stop].tobytes())
        return found

    def _different(
        self,
        vectors: Vectors,
        top_k: int,
        queries: Sequence[str] | None,
        barred: Vectors | None,
    ) -> list[list[Match]]:
        """As `search`, for few queries: identical answers count once, with the best score."""
        added = barred
        if queries is not None:
            added = self._lexical.scores(queries, LEXICAL_WEIGHT)
            if barred is not None:
                added += barred
        elif barred is not None:
            added = np.broadcast_to(barred, (len(vectors), len(self)))
        return self._best(vectors, top_k, added, None if queries is None else SCALE)

    def _best(
        self, vectors: Vectors, top_k: int, added: Vectors | None, scale: np.float32 | None
    ) -> list[list[Match]]:
        found = best_entries(
            *(vectors, self._searched, top_k, self._searched_extras), added=added, scale=scale
        )
        if not self._repeats:
            return found
        results = [self._merged(each) for each in found]
        short = [
            number
            for number, merged in enumerate(results)
            if len(merged) < top_k and len(found[number]) == min(top_k, len(self))
        ]
        if short and top_k < len(self):
            more = self._best(
                vectors[short], ASK_AGAIN * top_k, None if added is None else added[short], scale
            )
            for number, merged in zip(short, more, strict=True):
                results[number] = merged[:top_k]
        return results

    def _merged(self, matches: Sequence[Match]) -> list[Match]:
        """The first of the matches with each answer."""
        first: dict[int, Match] = {}
        for match in matches:
            first.setdefault(int(self._same_answer[match[0]]), match)
        return list(first.values())

    def _barred(self, categories: Sequence[str]) -> Vectors:
        """Minus infinity for each entry in none of the categories, and otherwise 0."""
        barred = np.full(len(self), -np.inf, dtype=np.float32)
        for category in categories:
            wanted = np.uint64(key(category))
            first = np.searchsorted(self._category_keys, wanted, side="left")
            last = np.searchsorted(self._category_keys, wanted, side="right")
            barred[self._category_entries[first:last]] = 0
        return barred


def _extra_rows(folder: Path, view: str, dimension: int) -> ExtraRows | None:
    rows = mapped(folder / f"extra_{view}.npy", np.float32, (None, dimension))
    owners = mapped(folder / f"extra_{view}_owners.npy", np.int32, (len(rows),))
    return ExtraRows(rows, owners) if len(rows) else None
