"""Typed client of the FAQ search REST API; the standard library is enough for API keys.

    from client import FaqSearch

    faq = FaqSearch("https://….execute-api.eu-west-1.amazonaws.com/v1", api_key="…")
    for hit in faq.search(["How do I stop paying for idle endpoints?"]).results[0]:
        print(f"{hit.score:.3f} {hit.answer}")

`python -m client --help` is the same from the command line.
"""

from client.api import FaqSearch
from client.errors import FaqSearchError
from client.results import (
    Deployment,
    Embeddings,
    Endpoint,
    FailedOver,
    Health,
    HealthLine,
    Hit,
    Nearest,
    NearestHit,
    SearchResults,
    ServedBy,
)

__all__ = [
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
    "SearchResults",
    "ServedBy",
]
