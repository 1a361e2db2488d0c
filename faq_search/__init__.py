"""Typed client of the FAQ search REST API, and the command `faq-search`.

from faq_search import FaqSearch, find_api

with FaqSearch("https://….execute-api.eu-west-1.amazonaws.com/v1", api_key="…") as faq:
    for hit in faq.search(["How do I stop paying for idle endpoints?"]).results[0]:
        print(f"{hit.score:.3f} {hit.answer}")
    batch = faq.batch("texts.jsonl")
    batch.wait()
    batch.download("embeddings.jsonl")

async with find_api(stage="dev").connect_async() as faq:
    print(await faq.embed(["A text."]))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"

if TYPE_CHECKING:
    from faq_search.api import FaqSearch
    from faq_search.async_api import AsyncBatch, AsyncFaqSearch
    from faq_search.batch import Batch
    from faq_search.errors import BatchError, FaqSearchError, InputError
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
    from faq_search.settings import Api, find_api

__all__ = [
    "Api",
    "AsyncBatch",
    "AsyncFaqSearch",
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
    "InputError",
    "Nearest",
    "NearestHit",
    "Records",
    "Report",
    "SearchResults",
    "ServedBy",
    "find_api",
]

_MODULES: Final = {
    "FaqSearch": "api",
    "AsyncBatch": "async_api",
    "AsyncFaqSearch": "async_api",
    "Batch": "batch",
    "BatchError": "errors",
    "FaqSearchError": "errors",
    "InputError": "errors",
    "Api": "settings",
    "find_api": "settings",
}


def __getattr__(name: str) -> Any:
    # On demand: `faq-search --help` does not wait for the HTTP client to load.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'results')}"), name)
