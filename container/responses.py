"""Answers as JSON. Numbers are the shortest that read back as the same float32."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray


def dumps(value: object) -> str:
    """Compact JSON. Text stays readable, so that it is no longer than it must be."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def vector_json(vector: NDArray[np.float32]) -> str:
    """One vector as a JSON list.

    numpy's own conversion to text gives the shortest form; json would write each number's value
    as float64, nearly twice as long.
    """
    if not np.isfinite(vector).all():
        raise FloatingPointError("the model gave a vector that is not finite")
    return "[" + ",".join(vector.astype(str).tolist()) + "]"


def shortest(number: float) -> float:
    """The float64 with the fewest digits that is the same as float32."""
    return float(str(np.float32(number)))


def vectors_json(vectors: NDArray[np.float32]) -> str:
    """Vectors [n, dimension] as ``{"embedding": [[...], ...]}``."""
    return '{"embedding":[' + ",".join(vector_json(vector) for vector in vectors) + "]}"


def record_json(record_id: str | int | float, vector: NDArray[np.float32]) -> str:
    """One line of a batch's answer: ``{"id": ..., "embedding": [...]}``."""
    return f'{{"id":{json.dumps(record_id)},"embedding":{vector_json(vector)}}}'


def record_error_json(record_id: str | int | float | None, sentence: str) -> str:
    """One line of a batch's answer for a record that failed: ``{"id": ..., "error": ...}``."""
    return f'{{"id":{json.dumps(record_id)},"error":{json.dumps(sentence)}}}'
