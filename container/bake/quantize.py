"""Quantises a model: eight bits for the weights of its projections, and for what they multiply.

Ranges come from texts of the corpus.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from container.bake.sample import read_entries, spread
from container.bake.settings import BakeSettings
from container.encoder.base import Encoder, Tokens, longest_first
from container.encoder.cpu import MappedTensors, infer_request
from container.encoder.model_config import ModelConfig
from container.encoder.openvino_graph import WORDS, Weights, build_observed_graph, pack
from container.encoder.quantized import INPUT_RANGE, INPUT_SCALE, LEVELS, SCALE, projections
from container.search.texts import view_texts, without_markup

Floats = NDArray[np.float32]

FILE = "model.safetensors"
# How much of the corpus is looked at: ranges hardly change with more.
ENTRIES = 512
TOKENS = 8192
# Of SmoothQuant: at 1 the channels of an input have equal ranges, so only weights lose by large
# ones. Above 0.7 texts unlike the corpus, whose channels exceed their ranges, are further away.
STRENGTH = 0.7
# Tokens of a batch: bounds the memory of large models.
BATCH = 256
_LARGEST = 127
_LEAST = np.float32(1e-6)


class Bounds(NamedTuple):
    """The least and the largest number of each channel that goes into a projection."""

    low: Floats
    high: Floats


def usual_tokens(
    settings: BakeSettings, corpus_file: Path, entries: int, encoder: Encoder
) -> list[list[int]]:
    """The tokens of some texts of the corpus, as they are encoded and as they are asked."""
    texts: dict[str, None] = {}
    for entry in read_entries(corpus_file, spread(entries, ENTRIES)).values():
        plain = without_markup(entry)
        texts |= dict.fromkeys(view_texts(plain, settings))
        texts |= dict.fromkeys(settings.query_prefix + each for each in plain.questions)
    # In texts of a word or two, channels reach values that longer texts do not.
    words = [text.removeprefix(settings.query_prefix).split() for text in list(texts)[::4]]
    texts |= dict.fromkeys(
        settings.query_prefix + " ".join(some[:count]) for some in words for count in (1, 2, 3)
    )
    tokens = encoder.tokenize(list(texts))
    random.Random(0).shuffle(tokens)  # noqa: S311 - the same in each bake
    sizes = np.cumsum([len(each) for each in tokens])
    return tokens[: int(np.searchsorted(sizes, TOKENS)) + 1]


def quantize_file(
    config: ModelConfig, tokens: Sequence[Tokens], source: Path, target: Path
) -> None:
    """Writes the model in `source`, in the form that is served, into `target` in eight bits."""
    tensors = quantize(config, MappedTensors(source / FILE), tokens)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(FILE))
    save_file(tensors, target / FILE, metadata={"format": "pt"})


def quantize(
    config: ModelConfig, weights: Weights, tokens: Sequence[Tokens]
) -> dict[str, NDArray[Any]]:
    """The tensors of the quantised model, as `container.encoder.quantized` describes them.

    `tokens` are those of texts like the ones that it will encode.
    """
    bounds = observe(config, weights, tokens)
    tensors: dict[str, NDArray[Any]] = dict(weights)
    tensors[WORDS], tensors[WORDS + SCALE] = _rounded(weights[WORDS])
    for layer in range(config.layers):
        for given, names in projections(f"encoder.layer.{layer}").items():
            columns = np.max([np.abs(weights[f"{name}.weight"]).max(axis=0) for name in names], 0)
            scale = _scale(bounds[given], columns)
            tensors[given + INPUT_SCALE] = scale
            tensors[given + INPUT_RANGE] = _range(bounds[given], scale)
            for name in names:
                weight = f"{name}.weight"
                tensors[weight], tensors[weight + SCALE] = _rounded(weights[weight] * scale)
    return tensors


def observe(config: ModelConfig, weights: Weights, tokens: Sequence[Tokens]) -> dict[str, Bounds]:
    """The bounds of what goes into the projections when the texts are encoded in float32."""
    graph, names = build_observed_graph(config, weights)
    request = infer_request(graph, "fp32")
    bounds: dict[str, list[Bounds]] = {name: [] for name in names}
    order = longest_first(tokens)
    start = 0
    while start < len(order):
        count = max(1, BATCH // len(tokens[order[start]]))
        batch = [tokens[number] for number in order[start : start + count]]
        found = request.infer(list(pack(config, weights, batch)), share_inputs=True)
        for number, name in enumerate(names, 1):
            # What follows is padding.
            states = found[number][: sum(map(len, batch))]
            bounds[name].append(Bounds(states.min(axis=0), states.max(axis=0)))
        start += count
    return {
        name: Bounds(
            np.min([each.low for each in found], axis=0),
            np.max([each.high for each in found], axis=0),
        )
        for name, found in bounds.items()
    }


def _scale(bounds: Bounds, columns: Floats) -> Floats:
    """What each channel is divided by, and its column of the weights multiplied by."""
    largest = np.maximum(np.maximum(-bounds.low, bounds.high), _LEAST)
    scale = largest**STRENGTH / np.maximum(columns, _LEAST) ** (1 - STRENGTH)
    return scale.astype(np.float32)


def _range(bounds: Bounds, scale: Floats) -> Floats:
    """The range of all channels together."""
    low = min(float((bounds.low / scale).min()), 0.0)
    high = max(float((bounds.high / scale).max()), float(_LEAST))
    # Zero becomes a whole number, so that it is exact, and the plugin need not move the range.
    step = (high - low) / (LEVELS - 1)
    below = round(-low / step)
    return np.array([-below * step, (LEVELS - 1 - below) * step], dtype=np.float32)


def _rounded(rows: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Rows of whole numbers, and what each row is to be multiplied by."""
    steps = np.maximum(np.abs(rows).max(axis=1), _LEAST) / np.float32(_LARGEST)
    return np.rint(rows / steps[:, np.newaxis]).astype(np.int8), steps
