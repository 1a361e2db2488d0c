"""The encoder as an OpenVINO graph, built by hand from the weights (BERT, RoBERTa, XLM-RoBERTa).

Built rather than converted, because the image that serves has no converter and a machine without
torch must be able to bake. Attention is the ScaledDotProductAttention operation, which the CPU
plugin runs as one fused kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from container.model_config import ModelConfig

Weights = Mapping[str, NDArray[np.float32]]


def build_graph(config: ModelConfig, weights: Weights) -> ov.Model:
    """Returns the graph: ``input_ids`` and ``attention_mask`` (int64 [batch, length]) to vectors.

    The single output is float32 [batch, dimension], pooled, and of unit length when the model
    normalises. Batch and length are dynamic.
    """
    return _GraphBuilder(config, weights).build()


class _GraphBuilder:
    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        self.weights = weights

    def build(self) -> ov.Model:
        ids = ops.parameter([-1, -1], np.int64, name="input_ids")
        mask = ops.parameter([-1, -1], np.int64, name="attention_mask")
        hidden = self._embeddings(ids)
        keep = self._attention_bias(mask)
        for layer in range(self.config.layers):
            hidden = self._layer(hidden, keep, f"encoder.layer.{layer}")
        vectors = self._pool(hidden, mask)
        if self.config.normalize:
            # sentence-transformers divides by max(length, 1e-12); ReduceL2 of a non-zero vector
            # never comes near it.
            length = ops.reduce_l2(vectors, _axes(-1), keep_dims=True)
            vectors = ops.divide(vectors, ops.maximum(length, _scalar(1e-12)))
        return ov.Model([vectors], [ids, mask], "encoder")

    def _weight(self, name: str) -> ov.Node:
        return ops.constant(self.weights[name], dtype=np.float32)

    def _embeddings(self, ids: ov.Node) -> ov.Node:
        words = ops.gather(self._weight("embeddings.word_embeddings.weight"), ids, _axis(0))
        # One segment only, so the segment's vector is part of every position's.
        positions = (
            self.weights["embeddings.position_embeddings.weight"]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        table = ops.constant(positions.astype(np.float32), dtype=np.float32)
        if self.config.position_offset is None:
            length = ops.gather(ops.shape_of(ids), ops.constant(np.int64(1)), _axis(0))
            numbers = ops.range(
                ops.constant(np.int64(0)), length, ops.constant(np.int64(1)), output_type="i64"
            )
        else:
            # RoBERTa counts positions from its padding id + 1, and only over real tokens.
            padding = ops.constant(np.int64(self.config.position_offset))
            real = ops.convert(ops.not_equal(ids, padding), "i64")
            numbers = ops.add(ops.multiply(ops.cumsum(real, _axis(1)), real), padding)
        hidden = ops.add(words, ops.gather(table, numbers, _axis(0)))
        return self._norm(hidden, "embeddings.LayerNorm")

    @staticmethod
    def _attention_bias(mask: ov.Node) -> ov.Node:
        padded = ops.unsqueeze(ops.unsqueeze(ops.convert(mask, "f32"), _axis(1)), _axis(1))
        lowest = float(np.finfo(np.float32).min)
        return ops.multiply(ops.subtract(_scalar(1.0), padded), _scalar(lowest))

    def _layer(self, hidden: ov.Node, bias: ov.Node, name: str) -> ov.Node:
        query, key, value = (
            self._heads(self._linear(hidden, f"{name}.attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        context = ops.scaled_dot_product_attention(query, key, value, bias)
        context = ops.reshape(
            ops.transpose(context, _vector(0, 2, 1, 3)),
            _vector(0, 0, self.config.dimension),
            special_zero=True,
        )
        attended = self._linear(context, f"{name}.attention.output.dense")
        hidden = self._norm(ops.add(attended, hidden), f"{name}.attention.output.LayerNorm")
        inner = self._activation(self._linear(hidden, f"{name}.intermediate.dense"))
        outer = self._linear(inner, f"{name}.output.dense")
        return self._norm(ops.add(outer, hidden), f"{name}.output.LayerNorm")

    def _heads(self, states: ov.Node) -> ov.Node:
        """[batch, length, dimension] to [batch, heads, length, dimension / heads]."""
        size = self.config.dimension // self.config.heads
        split = ops.reshape(states, _vector(0, 0, self.config.heads, size), special_zero=True)
        return ops.transpose(split, _vector(0, 2, 1, 3))

    def _linear(self, states: ov.Node, name: str) -> ov.Node:
        product = ops.matmul(states, self._weight(f"{name}.weight"), False, True)
        return ops.add(product, self._weight(f"{name}.bias"))

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
        weight = ops.unsqueeze(ops.convert(mask, "f32"), _axis(2))
        if self.config.pooling == "max":
            lowest = ops.multiply(ops.subtract(_scalar(1.0), weight), _scalar(-1e9))
            return ops.reduce_max(ops.add(ops.multiply(hidden, weight), lowest), _axes(1))
        total = ops.reduce_sum(ops.multiply(hidden, weight), _axes(1))
        return ops.divide(total, ops.reduce_sum(weight, _axes(1)))


def _scalar(value: float) -> ov.Node:
    return ops.constant(np.float32(value))


def _axis(value: int) -> ov.Node:
    return ops.constant(np.int64(value))


def _axes(*values: int) -> ov.Node:
    return ops.constant(np.array(values, dtype=np.int64))


_vector = _axes
