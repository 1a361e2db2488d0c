"""The single path from texts to matches, for the bake's probes and for the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from container.encoder.base import TextEncoder
from container.errors import InvalidRequestError
from container.search.index import Index
from container.search.nearest import nearest, normalized
from container.search.selection import Match, Vectors
from corpus.markup import plain_text


class Hit(NamedTuple):
    """An entry of the index, as it is stored; its score; the passage that matched, if any."""

    entry: dict[str, Any]
    score: np.float32
    passage: str | None = None


class Searcher:
    """Finds nearest texts with one encoder; `model` names the prefixes of queries and passages.

    `index` is `None` in an artifact without a corpus: what needs one raises InvalidRequestError.
    """

    def __init__(self, encoder: TextEncoder, index: Index | None, model: Mapping[str, Any]) -> None:
        self.encoder = encoder
        self._found_index = index
        self._query_prefix = model["query_prefix"]
        self._passage_prefix = model["passage_prefix"]

    def search(
        self,
        queries: Sequence[str],
        top_k: int,
        *,
        lexical: bool = True,
        categories: Sequence[str] | None = None,
    ) -> list[list[Hit]]:
        """The `top_k` best entries of the index for each query, best first.

        Args:
            lexical: whether shared words count.
            categories: only entries in one of them are found.
        """
        index = self._index
        vectors = self.encoder.encode(self._as_queries(queries))
        found = index.search(vectors, top_k, queries if lexical else None, categories)
        return [
            [self._hit(match, vector) for match in matches]
            for matches, vector in zip(found, vectors, strict=True)
        ]

    def nearest_answers(self, queries: Sequence[str], top_k: int) -> list[list[Hit]]:
        """The `top_k` entries of the index with the nearest answers, as sentence-transformers."""
        index = self._index
        found = index.nearest_answers(self.encoder.encode(self._as_queries(queries)), top_k)
        return [
            [Hit(index.entry(position), score) for position, score in matches] for matches in found
        ]

    def query_vectors(self, queries: Sequence[str]) -> Vectors:
        """The queries' vectors [n, dimension], at unit length."""
        return normalized(self.encoder.encode(self._as_queries(queries)))

    def nearest(
        self, corpus: Sequence[str], queries: Sequence[str], top_k: int
    ) -> list[list[Match]]:
        """The `top_k` best texts of `corpus` for each query, best first."""
        texts = self._as_queries(queries) + [self._passage_prefix + text for text in corpus]
        vectors = normalized(self.encoder.encode(texts))
        return nearest(vectors[: len(queries)], vectors[len(queries) :], top_k)

    @property
    def _index(self) -> Index:
        if self._found_index is None:
            raise InvalidRequestError(
                "this endpoint holds no corpus, which is in an index of Amazon S3 Vectors; ask "
                "POST /search, or send mode embedding or nn_corpus"
            )
        return self._found_index

    def _hit(self, match: Match, vector: Vectors) -> Hit:
        position, score = match
        entry = self._index.entry(position)
        passages = entry.get("passages")
        if not passages:
            return Hit(entry, score)
        start, end = passages[self._index.passage(position, vector)]
        return Hit(entry, score, plain_text(entry["answer"])[start:end].strip())

    def _as_queries(self, texts: Sequence[str]) -> list[str]:
        return [self._query_prefix + text for text in texts]
