"""The part of a model's configuration that the encoders need, validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Pooling = Literal["mean", "cls", "max"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]

FAMILIES = ("bert", "roberta", "xlm-roberta")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
POOLINGS = ("mean", "cls", "max")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """An encoder's shape, and what sentence-transformers does before and after it.

    `max_seq_length` counts tokens, special ones included. `position_offset` is the padding id
    after which RoBERTa numbers positions, `None` for BERT. `lower_case` lowers texts before they
    are tokenized (rare: most tokenizers do it themselves).
    """

    family: str
    dimension: int
    layers: int
    heads: int
    activation: str
    layer_norm_eps: float
    position_offset: int | None
    max_positions: int
    pad_token_id: int
    pooling: Pooling
    normalize: bool
    max_seq_length: int
    lower_case: bool

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        pooling: str,
        normalize: bool,
        max_seq_length: int | None,
        lower_case: bool,
    ) -> ModelConfig:
        """Reads transformers' `config.json`. Raises ValueError for models that cannot run here.

        With `max_seq_length` `None` texts may be as long as the model has positions for.
        """
        family = str(config.get("model_type"))
        if family not in FAMILIES:
            raise ValueError(
                f"the model is of the family {family!r}; supported are {', '.join(FAMILIES)}"
            )
        kind = config.get("position_embedding_type", "absolute")
        if kind != "absolute":
            raise ValueError(f"its position embeddings are {kind!r}; supported are 'absolute'")
        activation = str(config.get("hidden_act", "gelu"))
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"its activation is {activation!r}; supported are {', '.join(ACTIVATIONS)}"
            )
        if pooling not in POOLINGS:
            raise ValueError(f"its pooling is {pooling!r}; supported are {', '.join(POOLINGS)}")
        pad = int(config.get("pad_token_id", 0))
        offset = None if family == "bert" else pad
        positions = int(config["max_position_embeddings"])
        limit = positions if offset is None else positions - offset - 1
        length = limit if max_seq_length is None else max_seq_length
        if not 3 <= length <= limit:
            raise ValueError(f"max_seq_length is {length}; this model takes 3 to {limit} tokens")
        return cls(
            family=family,
            dimension=int(config["hidden_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            activation=activation,
            layer_norm_eps=float(config["layer_norm_eps"]),
            position_offset=offset,
            max_positions=positions,
            pad_token_id=pad,
            pooling=cast(Pooling, pooling),
            normalize=normalize,
            max_seq_length=length,
            lower_case=lower_case,
        )
