"""Exact nearest neighbours: matrix products block by block, and a running threshold.

A search costs little more than reading the rows once. Float32 throughout: NumPy has no matrix
product for half precision, and converting rows block by block takes several times as long as the
product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from container.search.selection import Best, Match, Vectors

# Bytes of scores held at a time. Few large products beat many small ones, each of which wakes and
# joins the library's threads.
BLOCK_BYTES = 4 << 20
# Queries in one product.
MOST_QUERIES = 256
# So few are a narrow matrix, which the library multiplies faster from the right.
FEW_QUERIES = 16


class ExtraRows(NamedTuple):
    """Further rows of some entries in one view, such as those of other passages.

    `owners` holds the position of each row's entry, in ascending order.
    """

    rows: Vectors
    owners: NDArray[np.int32]


def normalized(vectors: Vectors) -> Vectors:
    """The vectors at unit length; a zero vector stays zero."""
    # What np.linalg.norm computes, in fewer steps.
    lengths = np.sqrt(np.add.reduce(vectors * vectors, axis=1, keepdims=True))
    unit: Vectors = np.divide(vectors, np.maximum(lengths, 1e-12), dtype=np.float32)
    return unit


def nearest(queries: Vectors, rows: Vectors, top_k: int) -> list[list[Match]]:
    """The `top_k` nearest rows for each query, best first.

    `queries` [n, dimension] and `rows` [entries, dimension] have unit length. Among equal scores
    the lower position comes first. A `top_k` beyond the number of rows returns them all.
    """
    return [
        matches
        for start in range(0, len(queries), MOST_QUERIES)
        for matches in best_entries(queries[start : start + MOST_QUERIES], rows[np.newaxis], top_k)
    ]


def best_entries(
    queries: Vectors,
    views: Vectors,
    top_k: int,
    extras: Sequence[ExtraRows | None] = (),
    *,
    added: Vectors | None = None,
    scale: np.float32 | None = None,
) -> list[list[Match]]:
    """The `top_k` best entries for each of at most MOST_QUERIES queries, best first.

    An entry's score in a view is that of its best row there. Its score is that of its only view or,
    of several, half the best and half the mean.

    Args:
        views: rows of unit length [views, entries, dimension].
        extras: of each view, further rows.
        added: what is added to each score [queries, entries].
        scale: what the scores found are multiplied by.
    """
    count, (views_count, entries, dimension) = len(queries), views.shape
    extras = extras or (None,) * views_count
    best = Best(count, min(top_k, entries))
    block = max(1, BLOCK_BYTES // (4 * max(count, 1)))
    if views_count * entries <= block:
        scores = _product(queries, views.reshape(-1, dimension))
        by_view = scores.reshape(count, views_count, entries).swapaxes(0, 1)
        best.offer(_joined(queries, by_view, extras, added, 0), 0)
        return best.matches(scale)
    block = min(block, entries)
    buffer = np.empty(views_count * count * block, dtype=np.float32)
    for start in range(0, entries, block):
        width = min(block, entries - start)
        # Contiguous, even for a last and smaller block.
        by_view = buffer[: views_count * count * width].reshape(views_count, count, width)
        for rows, scores in zip(views, by_view, strict=True):
            np.matmul(queries, rows[start : start + width].T, out=scores)
        best.offer(_joined(queries, by_view, extras, added, start), start)
    return best.matches(scale)


def _product(queries: Vectors, rows: Vectors) -> Vectors:
    """The scores [queries, rows], contiguous."""
    if 1 < len(queries) <= FEW_QUERIES:
        return np.ascontiguousarray((rows @ queries.T).T)
    scores: Vectors = queries @ rows.T
    return scores


def _joined(
    queries: Vectors,
    by_view: Vectors,
    extras: Sequence[ExtraRows | None],
    added: Vectors | None,
    start: int,
) -> Vectors:
    """One score for each query and entry from those `by_view`, which is overwritten."""
    end = start + by_view.shape[2]
    for scores, extra in zip(by_view, extras, strict=True):
        if extra is not None:
            _raise_to_extras(queries, scores, extra, start, end)
    joined: Vectors = by_view[0]
    if len(by_view) > 1:
        joined = np.maximum(by_view[0], by_view[1])
        total = by_view[0]
        total += by_view[1]
        for scores in by_view[2:]:
            np.maximum(joined, scores, out=joined)
            total += scores
        total *= 1 / len(by_view)
        joined += total
        joined *= 0.5
    if added is not None:
        joined += added[:, start:end]
    return joined


def _raise_to_extras(
    queries: Vectors, scores: Vectors, extra: ExtraRows, start: int, end: int
) -> None:
    """Raises the scores of the entries from `start` to `end` to those of their further rows."""
    first, last = np.searchsorted(extra.owners, (start, end))
    if first == last:
        return
    owners = extra.owners[first:last]
    begins = np.flatnonzero(np.diff(owners, prepend=-1))
    best = np.maximum.reduceat(queries @ extra.rows[first:last].T, begins, axis=1)
    columns = owners[begins] - start
    scores[:, columns] = np.maximum(scores[:, columns], best)
