"""Exact search: ours, util.semantic_search, faiss's flat index, and the bare matrix product.

Each gets the folder that `write_index` filled: an index as the bake writes it, `queries.npy` and
`queries.json`, their texts. The tasks are named by the number of queries and return the positions
of the ten best.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Tasks = dict[str, Callable[[], Any]]
TOP_K = 10
QUERIES = (1, 16, 256)
# An entry has this many words, a query so many, as in an FAQ; drawn from a vocabulary in which, as
# in any language, the second word is half as frequent as the first.
ENTRY_WORDS, QUERY_WORDS, VOCABULARY = 63, 9, 60_000


def _inputs(folder: str) -> tuple[Any, Any]:
    queries = np.load(Path(folder) / "queries.npy")
    return queries, np.load(Path(folder) / "index" / "embeddings.npy", mmap_mode="r")[0]


def _open(folder: str, ranking: str) -> tuple[Any, Any, list[str]]:
    from container.search.index import Index

    queries, rows = _inputs(folder)
    entries, dimension = rows.shape
    index = Index(Path(folder) / "index", entries, dimension, ranking)
    return index, queries, json.loads((Path(folder) / "queries.json").read_text())


def _tasks(search: Callable[[Any], Any], queries: Any) -> Tasks:
    return {
        f"{count} queries": lambda chosen=queries[:count]: search(chosen)  # type: ignore[misc]
        for count in QUERIES
    }


def ours(folder: str, ranking: str) -> Tasks:
    """One vector an entry, as in `nn_train_data`, in the index as the server opens it."""
    index, queries, _ = _open(folder, ranking)

    def search(chosen: Any) -> list[list[int]]:
        found = index.nearest_answers(chosen, TOP_K)
        return [[position for position, _ in one] for one in found]

    return _tasks(search, queries)


def two_vectors(folder: str, ranking: str) -> Tasks:
    """Two vectors an entry, side by side, of which the better counts: the former `both`."""
    from container.search.nearest import BLOCK_BYTES, normalized
    from container.search.selection import Best

    index, queries, _ = _open(folder, ranking)
    file = Path(folder) / "two_vectors.npy"
    np.save(file, index.views[:2].transpose(1, 0, 2).reshape(-1, index.views.shape[2]))
    rows = np.load(file, mmap_mode="r").view(np.ndarray)

    def search(chosen: Any) -> Any:
        chosen = normalized(chosen)
        best = Best(len(chosen), TOP_K)
        block = BLOCK_BYTES // 4 // len(chosen) // 2 * 2
        for start in range(0, len(rows), block):
            scores = chosen @ rows[start : start + block].T
            best.offer(np.maximum(scores[:, ::2], scores[:, 1::2]), start // 2)
        return best.matches()

    return _tasks(search, queries)


def vectors(folder: str, ranking: str) -> Tasks:
    """All vectors of the entries, without their words."""
    index, queries, _ = _open(folder, ranking)
    return _tasks(lambda chosen: index.search(chosen, TOP_K), queries)


def hybrid(folder: str, ranking: str) -> Tasks:
    """All vectors of the entries and their words."""
    index, queries, texts = _open(folder, ranking)
    return _tasks(lambda chosen: index.search(chosen, TOP_K, texts[: len(chosen)]), queries)


def words(folder: str, ranking: str) -> Tasks:
    """The words alone: a score for each entry."""
    from container.search.lexical import Lexical

    index, queries, texts = _open(folder, ranking)
    lexical = Lexical(Path(folder) / "index", len(index))
    return _tasks(lambda chosen: lexical.scores(texts[: len(chosen)]), queries)


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


def write_index(folder: str, entries: int, dimension: int, ranking: str) -> Tasks:
    """Random rows of unit length and random words as an index, and random queries."""
    from container.bake.index_writer import IndexWriter
    from container.search.terms import terms
    from container.search.texts import WindowTexts
    from container.search.views import VIEWS
    from corpus.reader import Entry

    random = np.random.default_rng(7)
    views = VIEWS[ranking]
    frequencies = np.cumsum(1 / np.arange(1, VOCABULARY + 1))

    def text(count: int) -> str:
        chosen = np.searchsorted(frequencies, random.random(count) * frequencies[-1])
        return " ".join(f"{number:x}{'s' * (number % 5)}" for number in chosen.tolist())

    def write() -> None:
        target, window = Path(folder), 1024
        queries = random.standard_normal((max(QUERIES), dimension), dtype=np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        np.save(target / "queries.npy", queries)
        asked = [text(QUERY_WORDS) for _ in range(max(QUERIES))]
        (target / "queries.json").write_text(json.dumps(asked))
        with IndexWriter(target / "index", entries, dimension, ranking) as writer:
            for start in range(0, entries, window):
                count = min(window, entries - start)
                rows = random.standard_normal((count * len(views), dimension), dtype=np.float32)
                each = [
                    Entry(str(start + number), (), text(ENTRY_WORDS)) for number in range(count)
                ]
                texts = WindowTexts(
                    tokens=[],
                    rows={
                        view: [*range(number * count, (number + 1) * count)]
                        for number, view in enumerate(views)
                    },
                    extras={view: [] for view in views},
                    passages=[[] for _ in each],
                    terms=[Counter(terms(entry.answer)) for entry in each],
                )
                writer.add(each, texts, rows)

    return {"write": write}
