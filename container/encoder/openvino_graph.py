"""The encoder as an OpenVINO graph, built by hand from the weights (BERT, RoBERTa, XLM-RoBERTa).

Built, not converted: the serving image has no converter, and a machine without torch must be able
to bake. Attention is the ScaledDotProductAttention operation, which the CPU plugin runs as one
fused kernel.

The tokens of a batch's texts lie one after another, and only attention sees them laid out by text.
So padding costs nothing in the matrix products, which are nearly all of the work.

The words' embeddings are looked up outside the graph. Compiled into it, all of them would be read,
a gigabyte for a multilingual model, of which a text needs a few rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from container.encoder.base import Tokens
from container.encoder.model_config import ModelConfig
from container.encoder.quantized import INPUT_RANGE, INPUT_SCALE, LEVELS, SCALE

# float32, and int8 where they are quantised.
Weights = Mapping[str, NDArray[Any]]
WORDS = "embeddings.word_embeddings.weight"

# The plugin compiles kernels for each new size, which takes milliseconds: keep to few sizes.
STEP = 4
# Masks what is not a token. float32's lowest number would be infinite in bfloat16.
LOWEST = -1e30


class Packed(NamedTuple):
    """A batch as the graph takes it.

    `words`, float32 [total, dimension], are the tokens' embeddings; `positions` is int32 [total].
    `slots`, int32 [batch, length], holds for each token of each text its place in them; `mask`,
    float32, is 1 where there is a token. `origins`, int32 [total], holds each token's place in the
    flattened `slots`. Total and length are rounded up to multiples of `STEP`; nothing reads the
    padding.
    """

    words: NDArray[np.float32]
    positions: NDArray[np.int32]
    slots: NDArray[np.int32]
    mask: NDArray[np.float32]
    origins: NDArray[np.int32]


def pack(config: ModelConfig, weights: Weights, tokens: Sequence[Tokens]) -> Packed:
    """Packs the token ids of a batch's texts; of the weights it takes the words' embeddings."""
    lengths = [len(text) for text in tokens]
    total, length = _stepped(sum(lengths)), _stepped(max(lengths))
    numbers = np.arange(max(total, len(tokens) * length), dtype=np.int32)
    ids, positions, origins = np.zeros((3, total), dtype=np.int32)
    slots = np.zeros((len(tokens), length), dtype=np.int32)
    mask = np.zeros((len(tokens), length), dtype=np.float32)
    start = 0
    for row, text in enumerate(tokens):
        size = len(text)
        here = slice(start, start + size)
        ids[here] = text
        positions[here] = _positions(config.position_offset, ids[here], numbers[:size])
        origins[here] = numbers[row * length : row * length + size]
        slots[row, :size] = numbers[here]
        mask[row, :size] = 1
        start += size
    return Packed(_words(weights, ids), positions, slots, mask, origins)


def _words(weights: Weights, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    rows = weights[WORDS].take(ids, axis=0)
    if rows.dtype == np.int8:
        rows = rows * weights[WORDS + SCALE][ids, np.newaxis]
    found: NDArray[np.float32] = rows
    return found


def _positions(
    offset: int | None, ids: NDArray[np.int32], numbers: NDArray[np.int32]
) -> NDArray[np.int32]:
    if offset is None:
        return numbers
    # RoBERTa counts from its padding id + 1 and skips padding tokens inside a text.
    real = ids != offset
    counted: NDArray[np.int32] = np.cumsum(real, dtype=np.int32) * real + np.int32(offset)
    return counted


def _stepped(size: int) -> int:
    return size + -size % STEP


def build_graph(config: ModelConfig, weights: Weights, *, int8_products: bool = True) -> ov.Model:
    """The graph from packed tokens (see `Packed` for the five inputs) to vectors.

    The weights are not copied and must be writeable arrays. The output is float32
    [batch, dimension], pooled, and of unit length if the model normalises. All sizes are dynamic.

    Quantised weights (see `container.encoder.quantized`) are multiplied as they are, with inputs
    rounded to eight bits. Without `int8_products` the same numbers are multiplied in float32.
    """
    return _GraphBuilder(config, weights, int8_products).build()


def build_observed_graph(config: ModelConfig, weights: Weights) -> tuple[ov.Model, list[str]]:
    """A graph that also returns what goes into the projections, float32 [total, size] each.

    The names of these inputs, in their order, are those that quantised weights have them by.
    """
    builder = _GraphBuilder(config, weights, int8_products=False)
    graph = builder.build()
    graph.add_outputs([states.output(0) for states in builder.projected.values()])
    return graph, list(builder.projected)


class _GraphBuilder:
    def __init__(self, config: ModelConfig, weights: Weights, int8_products: bool) -> None:
        self.config = config
        self.weights = weights
        self.int8_products = int8_products
        # What goes into the projections, by name.
        self.projected: dict[str, ov.Node] = {}
        self._slots = ops.parameter([-1, -1], np.int32)
        self._origins = ops.parameter([-1], np.int32)

    def build(self) -> ov.Model:
        words = ops.parameter([-1, self.config.dimension], np.float32)
        positions = ops.parameter([-1], np.int32)
        mask = ops.parameter([-1, -1], np.float32)
        bias = self._attention_bias(mask)
        hidden = self._embeddings(words, positions)
        for layer in range(self.config.layers):
            hidden = self._layer(hidden, bias, f"encoder.layer.{layer}")
        vectors = self._pool(self._by_text(hidden), mask)
        if self.config.normalize:
            # As in sentence-transformers.
            length = ops.reduce_l2(vectors, _axes(-1), keep_dims=True)
            vectors = ops.divide(vectors, ops.maximum(length, _scalar(1e-12)))
        inputs = Packed(words, positions, self._slots, mask, self._origins)
        return ov.Model([vectors], list(inputs), "encoder")

    def _weight(self, name: str, scale: float = 1.0) -> ov.Node:
        weight = self.weights[name]
        if weight.dtype == np.int8:
            steps = self.weights[name + SCALE][:, np.newaxis] * np.float32(scale)
            if not self.int8_products:
                return ops.constant(weight * steps)
            whole = ops.constant(weight, shared_memory=True)
            return ops.multiply(ops.convert(whole, np.float32), ops.constant(steps))
        if scale == 1.0:
            return ops.constant(weight, shared_memory=True)
        return ops.constant(weight * np.float32(scale))

    def _input(self, states: ov.Node, name: str) -> ov.Node:
        """What goes into the projections `name`: rounded to eight bits if they are quantised."""
        self.projected[name] = states
        if name + INPUT_SCALE not in self.weights:
            return states
        scale, (low, high) = self.weights[name + INPUT_SCALE], self.weights[name + INPUT_RANGE]
        bounds = (ops.constant((scale * bound)[np.newaxis]) for bound in (low, high))
        return ops.fake_quantize(states, *bounds, _scalar(low), _scalar(high), LEVELS)

    def _embeddings(self, words: ov.Node, positions: ov.Node) -> ov.Node:
        # There is one segment, so its vector can be part of every position's.
        table = (
            self.weights["embeddings.position_embeddings.weight"]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        places = ops.gather(ops.constant(table, dtype=np.float32), positions, _axis(0))
        return self._norm(ops.add(words, places), "embeddings.LayerNorm")

    def _by_text(self, states: ov.Node) -> ov.Node:
        """[total, dimension] to [batch, length, dimension]."""
        return ops.gather(states, self._slots, _axis(0))

    @staticmethod
    def _attention_bias(mask: ov.Node) -> ov.Node:
        keys = ops.unsqueeze(ops.unsqueeze(mask, _axis(1)), _axis(1))
        return ops.select(_is_token(keys), _scalar(0.0), _scalar(LOWEST))

    def _layer(self, hidden: ov.Node, bias: ov.Node, name: str) -> ov.Node:
        # Scales the query's weights rather than attention's products: the plugin would fold that
        # into the key's projection and choose a slower kernel for it.
        scale = (self.config.dimension // self.config.heads) ** -0.5
        given = self._input(hidden, f"{name}.attention.self")
        query = self._heads(self._linear(given, f"{name}.attention.self.query", scale))
        key = self._heads(self._linear(given, f"{name}.attention.self.key"))
        value = self._heads(self._linear(given, f"{name}.attention.self.value"))
        context = ops.scaled_dot_product_attention(query, key, value, bias, _scalar(1.0))
        rows = ops.reshape(
            ops.transpose(context, _vector(0, 2, 1, 3)),
            _vector(-1, self.config.dimension),
            special_zero=False,
        )
        context = ops.gather(rows, self._origins, _axis(0))
        attended = self._projection(context, f"{name}.attention.output.dense")
        hidden = self._norm(ops.add(attended, hidden), f"{name}.attention.output.LayerNorm")
        inner = self._activation(self._projection(hidden, f"{name}.intermediate.dense"))
        outer = self._projection(inner, f"{name}.output.dense")
        return self._norm(ops.add(outer, hidden), f"{name}.output.LayerNorm")

    def _heads(self, states: ov.Node) -> ov.Node:
        """[total, dimension] to [batch, heads, length, dimension / heads]."""
        size = self.config.dimension // self.config.heads
        split = ops.reshape(
            self._by_text(states), _vector(0, 0, self.config.heads, size), special_zero=True
        )
        return ops.transpose(split, _vector(0, 2, 1, 3))

    def _projection(self, states: ov.Node, name: str) -> ov.Node:
        return self._linear(self._input(states, name), name)

    def _linear(self, states: ov.Node, name: str, scale: float = 1.0) -> ov.Node:
        weight, bias = self._weight(f"{name}.weight", scale), self._weight(f"{name}.bias", scale)
        return ops.add(ops.matmul(states, weight, False, True), bias)

    def _norm(self, states: ov.Node, name: str) -> ov.Node:
        normal = ops.mvn(states, _vector(-1), True, self.config.layer_norm_eps, "inside_sqrt")
        return ops.add(
            ops.multiply(normal, self._weight(f"{name}.weight")), self._weight(f"{name}.bias")
        )

    def _activation(self, states: ov.Node) -> ov.Node:
        if self.config.activation == "relu":
            return ops.relu(states)
        return ops.gelu(states, "erf" if self.config.activation == "gelu" else "tanh")

    def _pool(self, hidden: ov.Node, mask: ov.Node) -> ov.Node:
        if self.config.pooling == "cls":
            return ops.gather(hidden, ops.constant(np.int64(0)), _axis(1))
        weight = ops.unsqueeze(mask, _axis(2))
        if self.config.pooling == "max":
            tokens = ops.select(_is_token(weight), hidden, _scalar(LOWEST))
            return ops.reduce_max(tokens, _axes(1))
        total = ops.reduce_sum(ops.multiply(hidden, weight), _axes(1))
        return ops.divide(total, ops.reduce_sum(weight, _axes(1)))


def _is_token(mask: ov.Node) -> ov.Node:
    """For `select`: (1 - mask) * LOWEST would be wrong in bfloat16."""
    return ops.greater(mask, _scalar(0.5))


def _scalar(value: float) -> ov.Node:
    return ops.constant(np.float32(value))


def _axis(value: int) -> ov.Node:
    return ops.constant(np.int64(value))


def _axes(*values: int) -> ov.Node:
    return ops.constant(np.array(values, dtype=np.int64))


_vector = _axes
