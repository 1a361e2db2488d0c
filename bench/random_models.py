"""The models of the walk-through's table as folders of sentence-transformers, with random weights.

How long a model takes depends on its architecture, not on the values of its weights. A tokenizer
that is at hand stands in for each model's own: what matters is how many tokens a text has, and
vocabularies of English give about the same number. The word embeddings have their real size.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import save_file

_TYPE = "sentence_transformers.models."
_MODULES: Final = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
# The files that make up a tokenizer.
TOKENIZER: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


@dataclass(frozen=True)
class Size:
    """An encoder's architecture, in the words of transformers' config.json."""

    num_hidden_layers: int
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    model_type: str = "bert"
    vocab_size: int = 30_522
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    pad_token_id: int = 0
    layer_norm_eps: float = 1e-12

    def config(self) -> dict[str, Any]:
        """The config.json."""
        kind = "BertModel" if self.model_type == "bert" else "XLMRobertaModel"
        # transformers takes these for special tokens of XLM-RoBERTa.
        special = {"bos_token_id": 0, "eos_token_id": 2} if kind == "XLMRobertaModel" else {}
        return {"architectures": [kind], "hidden_act": "gelu", **asdict(self), **special}


_XLM: Final[dict[str, Any]] = {
    "model_type": "xlm-roberta",
    "vocab_size": 250_002,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "layer_norm_eps": 1e-5,
}
MINI: Final = Size(6, 384, 1536, 12)
SIZES: Final = {
    "MiniLM": MINI,
    "small": Size(12, 384, 1536, 12),
    "base": Size(12, 768, 3072, 12),
    "large": Size(24, 1024, 4096, 16),
    "multilingual base": Size(12, 768, 3072, 12, **_XLM),
    "multilingual large": Size(24, 1024, 4096, 16, **_XLM),
}


@dataclass(frozen=True)
class Model:
    """A row of the walk-through's table: size (a key of SIZES), pooling, limit of tokens."""

    size: str
    pooling: str = "mean"
    max_seq_length: int = 512


# In the table's order. All of them normalise their vectors.
MODELS: Final = {
    "all-MiniLM-L6-v2": Model("MiniLM", max_seq_length=256),
    "bge-base-en": Model("base", "cls"),
    "bge-small-en": Model("small", "cls"),
    "bge-large-en": Model("large", "cls"),
    "multilingual-e5-base": Model("multilingual base"),
    "multilingual-e5-large": Model("multilingual large"),
    "e5-base": Model("base"),
    "e5-base-v2": Model("base"),
    "e5-large": Model("large"),
    "e5-large-v2": Model("large"),
    "gte-base": Model("base"),
    "gte-small": Model("small"),
    "gte-large": Model("large"),
}


def operations(config: Mapping[str, Any], lengths: Sequence[int]) -> int:
    """Floating-point operations to encode texts of these numbers of tokens, without padding.

    `config` is a transformer's config.json. Counts matrix products alone: four square ones and two
    of the inner layer for each token, and attention between all pairs.
    """
    size, inner = config["hidden_size"], config["intermediate_size"]
    token = 2 * (4 * size * size + 2 * size * inner)
    pairs = 4 * size
    return int(
        config["num_hidden_layers"] * sum(length * token + length**2 * pairs for length in lengths)
    )


def write_weights(size: Size, folder: Path, scale: float = 0.02) -> Path:
    """Writes model.safetensors with random weights, as a bake would leave it; returns the file.

    `scale` is their standard deviation, by default that of an untrained BERT.
    """
    random = np.random.default_rng(7)

    def normal(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        values = random.standard_normal(shape, dtype=np.float32)
        values *= scale
        return values

    width, inner = size.hidden_size, size.intermediate_size
    tensors = {
        "embeddings.word_embeddings.weight": normal(size.vocab_size, width),
        "embeddings.position_embeddings.weight": normal(size.max_position_embeddings, width),
        "embeddings.token_type_embeddings.weight": normal(size.type_vocab_size, width),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{number}" for number in range(size.num_hidden_layers)):
        for name, rows, columns in (
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", inner, width),
            ("output.dense", width, inner),
        ):
            tensors[f"{layer}.{name}.weight"] = normal(rows, columns)
            tensors[f"{layer}.{name}.bias"] = normal(rows)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name in norms:
        tensors[f"{name}.weight"] = np.ones(width, dtype=np.float32)
        tensors[f"{name}.bias"] = normal(width)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.safetensors"
    save_file(tensors, file, metadata={"format": "pt"})
    return file


def write_model(
    folder: Path, model: Model, weights: Path, tokenizer: Path, size: Size | None = None
) -> Path:
    """Writes a model's folder around `weights`, a file, which it links; returns the folder.

    `tokenizer` is a folder with a tokenizer's files. `size` is that of the weights, if not the
    model's.
    """
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").symlink_to(weights)
    for name in TOKENIZER:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)
    size = size or SIZES[model.size]
    files = {
        "config.json": size.config(),
        "sentence_bert_config.json": {
            "max_seq_length": model.max_seq_length,
            "do_lower_case": False,
        },
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": f"{_TYPE}{kind}"}
            for number, (kind, path) in enumerate(_MODULES.items())
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": size.hidden_size,
            "pooling_mode_cls_token": model.pooling == "cls",
            "pooling_mode_mean_tokens": model.pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2), "utf-8")
    return folder
