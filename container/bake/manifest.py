"""The manifest of an artifact: what was baked, and probes for a deployment to repeat."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from container.artifact import INDEX, hash_files
from container.bake.settings import BakeSettings
from container.bake.weights import FoundModel, source_hashes
from container.encoder.base import Encoder
from container.search.index import Index
from container.search.nearest import normalized
from container.search.searcher import Searcher
from corpus.reader import CorpusInfo

LIBRARIES = ("numpy", "openvino", "safetensors", "tokenizers", "torch", "transformers")
GENERIC_PROBES = (
    "How do I get started?",
    "What does it cost?",
    "Is my data secure?",
    "Wie kann ich anfangen?",
)
PROBE_TOP_K = 3


def make_manifest(
    settings: BakeSettings,
    corpus: CorpusInfo | None,
    model: FoundModel,
    encoder: Encoder,
    artifact: Path,
    *,
    float_encoder: Encoder | None = None,
) -> dict[str, Any]:
    """What the artifact is. Holds no times and no machine: equal inputs give equal bytes.

    Without a corpus there is none in it, and no index; the probes then are embeddings.

    Args:
        float_encoder: of quantised weights, as a GPU computes with them: for probes of its own.
    """
    config = model.config
    about = {
        "id": settings.model_id,
        "version": settings.model_version,
        "family": config.family,
        "dimension": config.dimension,
        "pooling": config.pooling,
        "pooling_source": model.pooling_source,
        "normalize": config.normalize,
        "max_seq_length": config.max_seq_length,
        "lower_case": config.lower_case,
        "precision": settings.precision,
        "query_prefix": settings.query_prefix,
        "passage_prefix": settings.passage_prefix,
    }
    found: dict[str, Any]
    if corpus is None:
        found = {"probes": _embedding_probes(encoder, settings)}
    else:
        index = Index(artifact / INDEX, corpus.entries, config.dimension, settings.ranking)
        found = {
            "corpus": {"sha256": corpus.sha256, "entries": corpus.entries, "bytes": corpus.bytes},
            "index": {"rows": index.rows, "dimension": config.dimension},
            "probes": _probes(Searcher(encoder, index, about), index, settings),
        }
        if float_encoder is not None:
            searcher = Searcher(float_encoder, index, about)
            found["float_probes"] = _probes(searcher, index, settings)
    return {
        "bake_id": settings.bake_id,
        "model": about,
        "ranking": settings.ranking,
        "hyperparameters": dict(settings.raw),
        "files": hash_files(artifact).result(),
        "weights_source": source_hashes(model),
        "libraries": {"python": platform.python_version(), **_library_versions()},
        **found,
    }


def _library_versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _embedding_probes(encoder: Encoder, settings: BakeSettings) -> list[dict[str, Any]]:
    """`[{"query", "embedding"}]`: queries with their vectors at unit length."""
    vectors = normalized(encoder.encode([settings.query_prefix + q for q in GENERIC_PROBES]))
    return [
        # The fewest digits that read back as the same float32.
        {"query": query, "embedding": [float(str(number)) for number in vector]}
        for query, vector in zip(GENERIC_PROBES, vectors, strict=True)
    ]


def _probes(searcher: Searcher, index: Index, settings: BakeSettings) -> list[dict[str, Any]]:
    """`[{"query", "ids", "scores"}]`: queries with the answers of the path that serves.

    Generic texts, and the question (or else the answer) of the first, middle and last entry. A
    corpus baked without its texts gets only the generic ones, because callers can read the
    manifest.
    """
    queries = list(GENERIC_PROBES)
    if settings.store_text:
        for position in dict.fromkeys((0, len(index) // 2, len(index) - 1)):
            entry = index.entry(position)
            queries.append(entry["question"] or entry["answer"])
    return [
        {
            "query": query,
            "ids": [hit.entry["id"] for hit in hits],
            # The fewest digits that read back as the same float32.
            "scores": [float(str(hit.score)) for hit in hits],
        }
        for query, hits in zip(queries, searcher.search(queries, PROBE_TOP_K), strict=True)
    ]
