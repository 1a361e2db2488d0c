"""Probes: questions with their answers at the time of the bake, which a deployment repeats."""

from __future__ import annotations

from typing import Any

from container.bake.settings import BakeSettings
from container.search.index import Index
from container.search.searcher import Searcher
from container.serving.responses import shortest

GENERIC = (
    "How do I get started?",
    "What does it cost?",
    "Is my data secure?",
    "Wie kann ich anfangen?",
)
TOP_K = 3


def make_probes(searcher: Searcher, index: Index, settings: BakeSettings) -> list[dict[str, Any]]:
    """``[{"query", "ids", "scores"}]`` by the search path that serves.

    Generic texts, and the first, middle and last entry's question (its answer where it has none).
    A corpus baked without its texts gets the generic ones only, since the manifest is shown to
    whoever asks for it.
    """
    queries = list(GENERIC)
    if settings.store_text:
        for position in dict.fromkeys((0, len(index) // 2, len(index) - 1)):
            entry = index.entry(position)
            queries.append(entry["question"] or entry["answer"])
    return [
        {
            "query": query,
            "ids": [index.entry(match.position)["id"] for match in matches],
            "scores": [shortest(match.score) for match in matches],
        }
        for query, matches in zip(queries, searcher.search(index, queries, TOP_K), strict=True)
    ]
