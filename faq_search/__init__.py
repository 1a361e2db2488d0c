"""Typed client of the FAQ search REST API; the standard library is enough for API keys.

    from faq_search import FaqSearch

    faq = FaqSearch("https://….execute-api.eu-west-1.amazonaws.com/v1", api_key="…")
    for hit in faq.search(["How do I stop paying for idle endpoints?"]).results[0]:
        print(f"{hit.score:.3f} {hit.answer}")
    batch = faq.batch("texts.jsonl")
    batch.wait()
    batch.download("embeddings.jsonl")

`python -m faq_search --help` is the same from the command line.
"""

from faq_search.api import FaqSearch
from faq_search.batch import Batch
from faq_search.errors import BatchError, FaqSearchError
from faq_search.results import (
    BatchState,
    Cost,
    Deployment,
    Embeddings,
    Endpoint,
    FailedOver,
    Health,
    HealthLine,
    Hit,
    Nearest,
    NearestHit,
    Records,
    Report,
    SearchResults,
    ServedBy,
)

__all__ = [
    "Batch",
    "BatchError",
    "BatchState",
    "Cost",
    "Deployment",
    "Embeddings",
    "Endpoint",
    "FailedOver",
    "FaqSearch",
    "FaqSearchError",
    "Health",
    "HealthLine",
    "Hit",
    "Nearest",
    "NearestHit",
    "Records",
    "Report",
    "SearchResults",
    "ServedBy",
]
