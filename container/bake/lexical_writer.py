"""Writes the lexical part of an index; see `container.search.lexical` for its files.

Terms of each entry go to one of some files by the first bits of their keys, and each of these is
sorted alone at the end. So memory grows by 4 bytes an entry, and by what one file holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from container.search.arrays import ArrayFile
from container.search.lexical import DENSE_SHARE, K1, B, idf
from container.search.terms import key

BUCKET_BITS = 6
REMEMBERED_KEYS = 200_000
_POSTING = np.dtype([("key", "<u8"), ("entry", "<i4"), ("count", "<i4")])


class LexicalWriter:
    """Takes the terms of one window of entries after another."""

    def __init__(self, folder: Path, entries: int) -> None:
        self._folder = folder
        self._lengths = np.zeros(entries, dtype=np.float32)
        self._entry = 0
        self._keys: dict[str, int] = {}
        self._spool: list[BinaryIO] = []
        self._files = ExitStack()
        for number in range(1 << BUCKET_BITS):
            file = (folder / f"postings-{number}.part").open("w+b", buffering=0)
            self._spool.append(self._files.enter_context(file))

    def add(self, terms: Sequence[Counter[str]]) -> None:
        """Appends entries, each as its terms and how often they stand in it."""
        sizes = [len(each) for each in terms]
        postings = np.empty(sum(sizes), dtype=_POSTING)
        postings["key"] = [self._key(term) for each in terms for term in each]
        postings["count"] = [count for each in terms for count in each.values()]
        positions = np.arange(self._entry, self._entry + len(terms), dtype=np.int32)
        postings["entry"] = np.repeat(positions, sizes)
        self._lengths[positions] = [each.total() for each in terms]
        self._entry += len(terms)
        bucket = (postings["key"] >> np.uint64(64 - BUCKET_BITS)).astype(np.intp)
        order = np.argsort(bucket, kind="stable")
        postings, bucket = postings[order], bucket[order]
        bounds = np.searchsorted(bucket, np.arange(len(self._spool) + 1)).tolist()
        for file, (start, end) in zip(self._spool, pairwise(bounds), strict=True):
            if end > start:
                file.write(postings[start:end].data.cast("B"))

    def finish(self) -> None:
        """Writes the files, once all entries are added."""
        entries, folder = len(self._lengths), self._folder
        norms = K1 * (1 - B + B * self._lengths / max(float(self._lengths.mean()), 1e-9))
        starts = [np.zeros(1, dtype=np.int64)]
        dense_rows = posted = 0
        with (
            ArrayFile(folder / "terms.npy", np.uint64) as keys,
            ArrayFile(folder / "term_idf.npy", np.float32) as idfs,
            ArrayFile(folder / "term_dense.npy", np.int32) as dense_of,
            ArrayFile(folder / "posting_entries.npy", np.int32) as posting_entries,
            ArrayFile(folder / "posting_weights.npy", np.float32) as posting_weights,
            ArrayFile(folder / "dense.npy", np.float32, (entries,)) as dense,
        ):
            for file in self._spool:
                postings = _sorted(file)
                found, first = np.unique(postings["key"], return_index=True)
                counts = np.diff(first, append=len(postings))
                value = idf(counts.astype(np.float64), entries)
                occurrences = postings["count"].astype(np.float64)
                weights = np.repeat(value, counts) * occurrences
                weights /= occurrences + norms[postings["entry"]]
                is_dense = counts * DENSE_SHARE > entries
                numbers = np.full(len(found), -1, dtype=np.int32)
                numbers[is_dense] = dense_rows + np.arange(int(is_dense.sum()))
                dense_rows += int(is_dense.sum())
                for place in np.flatnonzero(is_dense):
                    row = np.zeros((1, entries), dtype=np.float32)
                    of_term = slice(first[place], first[place] + counts[place])
                    row[0, postings["entry"][of_term]] = weights[of_term]
                    dense.append(row)
                kept = np.repeat(~is_dense, counts)
                posting_entries.append(postings["entry"][kept])
                posting_weights.append(weights[kept])
                keys.append(found)
                idfs.append(value)
                dense_of.append(numbers)
                starts.append(posted + np.cumsum(np.where(is_dense, 0, counts)))
                posted += int(kept.sum())
        np.save(folder / "term_starts.npy", np.concatenate(starts))

    def close(self) -> None:
        """Removes the spooled files."""
        self._files.close()
        for file in self._folder.glob("postings-*.part"):
            file.unlink()

    def _key(self, term: str) -> int:
        found = self._keys.get(term)
        if found is None:
            if len(self._keys) >= REMEMBERED_KEYS:
                self._keys.clear()
            found = self._keys[term] = key(term)
        return found


def _sorted(file: BinaryIO) -> NDArray[Any]:
    """The postings of a spooled file by term, and then, as they came, by entry."""
    file.seek(0)
    postings = np.frombuffer(file.read(), dtype=_POSTING)
    return postings[np.argsort(postings["key"], kind="stable")]
