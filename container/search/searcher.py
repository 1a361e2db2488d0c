"""The one way in which texts become matches, used by the bake's probes and by the server."""

from __future__ import annotations

from collections.abc import Sequence

from container.encoder.base import TextEncoder
from container.search.index import Index
from container.search.nearest import Match, nearest, normalized


class Searcher:
    """Finds nearest texts with one encoder. Prefixes are the model's own, put before each text."""

    def __init__(
        self, encoder: TextEncoder, query_prefix: str = "", passage_prefix: str = ""
    ) -> None:
        self.encoder = encoder
        self._query_prefix = query_prefix
        self._passage_prefix = passage_prefix

    def search(self, index: Index, queries: Sequence[str], top_k: int) -> list[list[Match]]:
        """The ``top_k`` best entries of ``index`` for each query, best first."""
        return index.search(self.encoder.encode(self._as_queries(queries)), top_k)

    def nearest(
        self, corpus: Sequence[str], queries: Sequence[str], top_k: int
    ) -> list[list[Match]]:
        """The ``top_k`` best of ``corpus`` for each query, best first."""
        texts = self._as_queries(queries) + [self._passage_prefix + text for text in corpus]
        vectors = normalized(self.encoder.encode(texts))
        return nearest(vectors[: len(queries)], vectors[len(queries) :], top_k)

    def _as_queries(self, texts: Sequence[str]) -> list[str]:
        return [self._query_prefix + text for text in texts]
