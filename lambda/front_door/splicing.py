"""From the model's JSON to the callers', without reading more of it than is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pydantic_core import from_json, to_json

from rest.errors import ApiError

_EMBEDDING: Final = re.compile(rb'\s*\{\s*"embedding"\s*:\s*(\[.*\])\s*\}\s*', re.DOTALL)
_HITS: Final = re.compile(
    rb'\s*(\{\s*"bake_id"\s*:\s*"[^"\\]+"\s*,\s*"results"\s*:\s*\[.*\])\s*\}\s*', re.DOTALL
)
_LIST: Final = re.compile(rb"\s*(\[.*\])\s*", re.DOTALL)


def with_embeddings(model_answer: bytes, rest: Mapping[str, object]) -> bytes:
    """`{"embedding": …}` as `{"embeddings": …, **rest}`, without reading megabytes of numbers."""
    return _spliced(b"embeddings", _EMBEDDING.fullmatch(model_answer), rest)


def with_results(model_answer: bytes, rest: Mapping[str, object]) -> bytes:
    """`[…]` as `{"results": […], **rest}`."""
    return _spliced(b"results", _LIST.fullmatch(model_answer), rest)


def _spliced(name: bytes, value: re.Match[bytes] | None, rest: Mapping[str, object]) -> bytes:
    if value is None:
        raise unreadable()
    # Views: the megabytes are copied once.
    start, stop = value.span(1)
    found = memoryview(value.string)[start:stop]
    return b"".join((b'{"', name, b'":', found, b",", to_json(rest)[1:]))


def with_hits(model_answer: bytes, min_score: float, rest: Mapping[str, object]) -> bytes:
    """`{"bake_id": …, "results": […]}` with **rest, without the hits below `min_score`."""
    if min_score > -1:  # else all are wanted, also those that rounding took below -1
        model_answer = _from_score(model_answer, min_score)
    found = _HITS.fullmatch(model_answer)
    if found is None:
        raise unreadable()
    return found[1] + b"," + to_json(rest)[1:]


def _from_score(model_answer: bytes, min_score: float) -> bytes:
    try:
        found = from_json(model_answer)
        results = [[hit for hit in hits if hit["score"] >= min_score] for hits in found["results"]]
        return to_json({"bake_id": found["bake_id"], "results": results})
    except (ValueError, KeyError, TypeError):
        raise unreadable() from None


def best_scores(model_answer: bytes) -> list[float]:
    """The score of the best hit of each query in `{"bake_id": …, "results": […]}`, -1 of none."""
    try:
        results = from_json(model_answer)["results"]
        return [max((float(hit["score"]) for hit in hits), default=-1.0) for hits in results]
    except (ValueError, KeyError, TypeError):
        raise unreadable() from None


def unreadable() -> ApiError:
    """The model's answer does not have the shape of its contract."""
    return ApiError("model_error", "The model's answer cannot be read. It is not your request.")
