"""Answers as JSON, each float32 as the shortest text that reads back as the same float32."""

from __future__ import annotations

import json
from base64 import b64encode

import numpy as np
import orjson
from numpy.typing import NDArray


def dumps(value: object) -> bytes:
    """Compact JSON. Non-ASCII text stays as it is, which keeps answers short."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def finite(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same vectors. Raises FloatingPointError for NaN and infinity, which JSON cannot hold."""
    if not np.isfinite(vectors).all():
        raise FloatingPointError("the model produced a vector that is not finite")
    return vectors


def base64_texts(vectors: NDArray[np.float32]) -> list[str]:
    """Each vector as the base64 of its float32 numbers, little-endian, as OpenAI's API sends it."""
    return [b64encode(vector.tobytes()).decode() for vector in vectors.astype("<f4", copy=False)]


def record_json(record_id: str | int | float, vector: NDArray[np.float32]) -> bytes:
    """One line of a batch's answer: `{"id": ..., "embedding": [...]}`."""
    return dumps({"id": _as_given(record_id), "embedding": vector})


def record_error_json(record_id: str | int | float | None, sentence: str) -> bytes:
    """The line for a record that failed: `{"id": ..., "error": ...}`."""
    return dumps({"id": _as_given(record_id), "error": sentence})


def _as_given(record_id: str | int | float | None) -> orjson.Fragment:
    """An id, written by json: orjson refuses integers beyond 64 bits and lone surrogates."""
    return orjson.Fragment(json.dumps(record_id))
