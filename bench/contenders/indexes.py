"""Exact search: ours, util.semantic_search, faiss's flat index, and the bare matrix product.

Each gets the folder that `write_rows` filled: an index as the bake writes it, and `queries.npy`.
The tasks are named by the number of queries and return the positions of the ten best.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Tasks = dict[str, Callable[[], Any]]
TOP_K = 10
QUERIES = (1, 16)


def _inputs(folder: str) -> tuple[Any, Any]:
    queries = np.load(Path(folder) / "queries.npy")
    return queries, np.load(Path(folder) / "index" / "embeddings.npy", mmap_mode="r")


def _tasks(search: Callable[[Any], Any], queries: Any) -> Tasks:
    return {
        f"{count} queries": lambda chosen=queries[:count]: search(chosen)  # type: ignore[misc]
        for count in QUERIES
    }


def ours(folder: str) -> Tasks:
    """The index as the server opens it, memory-mapped."""
    from container.search.index import Index

    queries, rows = _inputs(folder)
    index = Index(Path(folder) / "index", *rows.shape)
    return _tasks(
        lambda chosen: [[match.position for match in one] for one in index.search(chosen, TOP_K)],
        queries,
    )


def semantic_search(folder: str) -> Tasks:
    """sentence-transformers' util.semantic_search with dot score, on tensors."""
    import torch
    from sentence_transformers import util

    queries, rows = _inputs(folder)
    corpus = torch.from_numpy(np.array(rows))

    def search(chosen: Any) -> list[list[int]]:
        found = util.semantic_search(
            torch.from_numpy(chosen), corpus, top_k=TOP_K, score_function=util.dot_score
        )
        return [[match["corpus_id"] for match in one] for one in found]

    return _tasks(search, queries)


def faiss_flat(folder: str) -> Tasks:
    """faiss.IndexFlatIP."""
    import faiss

    queries, rows = _inputs(folder)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(np.array(rows))
    return _tasks(lambda chosen: index.search(chosen, TOP_K)[1], queries)


def matrix_product(folder: str) -> Tasks:
    """numpy's product alone, the lower bound of any exact search; finds nothing."""
    queries, rows = _inputs(folder)
    corpus = np.array(rows)
    return _tasks(lambda chosen: chosen @ corpus.T, queries)


def write_rows(folder: str, entries: int, dimension: int) -> Tasks:
    """Random rows of unit length as an index, and random queries."""
    from container.search.index import IndexWriter

    def write() -> None:
        random = np.random.default_rng(7)
        target, window = Path(folder), 50_000
        queries = random.standard_normal((max(QUERIES), dimension), dtype=np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        np.save(target / "queries.npy", queries)
        with IndexWriter(target / "index", entries, dimension, 1) as writer:
            for start in range(0, entries, window):
                count = min(window, entries - start)
                rows = random.standard_normal((count, dimension), dtype=np.float32)
                writer.add([{"id": str(start + number)} for number in range(count)], rows)

    return {"write": write}
