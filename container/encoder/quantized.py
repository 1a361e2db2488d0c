"""Quantised weights: how a file holds them, and what they are in float32.

A projection multiplies whole numbers: each row of its weights times the row's `SCALE`, and its
inputs rounded to `LEVELS` steps between the two numbers of `INPUT_RANGE`, after each channel was
divided by its `INPUT_SCALE`. That scale is in the weights already, so what channels with large
values would cost in accuracy is shared between inputs and weights (SmoothQuant, Xiao et al. 2022).
Query, key and value have the same input, and so its scale and range in common.

The word embeddings are whole numbers, too, with a `SCALE` for each word. All else is float32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Appended to the name of a weight.
SCALE = "_scale"
# Appended to the name of a projection, or of those of query, key and value together.
INPUT_SCALE = ".input_scale"
INPUT_RANGE = ".input_range"
LEVELS = 256


def is_quantized(tensors: Collection[str]) -> bool:
    """Whether tensors with these names are those of a quantised model."""
    return any(name.endswith(INPUT_RANGE) for name in tensors)


def projections(layer: str) -> dict[str, tuple[str, ...]]:
    """The projections of a layer, by the name of their input."""
    attention = f"{layer}.attention.self"
    single = ("attention.output.dense", "intermediate.dense", "output.dense")
    return {
        attention: tuple(f"{attention}.{part}" for part in ("query", "key", "value")),
        **{f"{layer}.{name}": (f"{layer}.{name}",) for name in single},
    }


def dequantized(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The weights as float32, by the names that they have in a model that is not quantised."""
    input_scales = {}
    for name in tensors:
        if name.endswith(INPUT_SCALE):
            given = name.removesuffix(INPUT_SCALE)
            parts = ("query", "key", "value")
            weights = [f"{given}.{part}.weight" for part in parts] + [f"{given}.weight"]
            input_scales.update(dict.fromkeys(weights, tensors[name]))
    found = {}
    for name, tensor in tensors.items():
        if tensor.dtype == np.int8:
            whole = tensor * tensors[name + SCALE][:, np.newaxis]
            found[name] = whole / input_scales[name] if name in input_scales else whole
        elif not name.endswith((SCALE, INPUT_SCALE, INPUT_RANGE)):
            found[name] = tensor
    return found
