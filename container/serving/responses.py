"""Answers as JSON. Numbers are the shortest that read back as the same float32."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from container.number_text import vectors_text

# Beyond this numpy's own text may be longer than vectors_text has room for.
LARGE = 1e9


def dumps(value: object) -> str:
    """Compact JSON. Text stays readable, so that it is no longer than it must be."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def vectors_lists(vectors: NDArray[np.float32]) -> list[str]:
    """Each vector of [n, dimension] as a JSON list.

    json would write each number's value as float64, nearly twice as long.
    """
    if not len(vectors):
        return []
    if not np.isfinite(vectors).all():
        raise FloatingPointError("the model gave a vector that is not finite")
    if np.abs(vectors).max() < LARGE:
        return vectors_text(vectors)
    return ["[" + ",".join(vector.astype(str).tolist()) + "]" for vector in vectors]


def shortest(number: float) -> float:
    """The float64 with the fewest digits that is the same as float32."""
    return float(str(np.float32(number)))


def vectors_json(vectors: NDArray[np.float32]) -> str:
    """Vectors [n, dimension] as ``{"embedding": [[...], ...]}``."""
    return '{"embedding":[' + ",".join(vectors_lists(vectors)) + "]}"


def record_json(record_id: str | int | float, vector: str) -> str:
    """One line of a batch's answer: ``{"id": ..., "embedding": [...]}``, the vector as text."""
    return f'{{"id":{json.dumps(record_id)},"embedding":{vector}}}'


def record_error_json(record_id: str | int | float | None, sentence: str) -> str:
    """One line of a batch's answer for a record that failed: ``{"id": ..., "error": ...}``."""
    return f'{{"id":{json.dumps(record_id)},"error":{json.dumps(sentence)}}}'
