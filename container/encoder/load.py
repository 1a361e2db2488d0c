"""Opening an artifact's model: the files checked, the encoder built and warm."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from container.artifact import WEIGHTS, model_config, open_encoder
from container.bake.weights import file_hash
from container.encoder.base import Encoder
from container.encoder.model_config import ModelConfig
from container.errors import LoadError

WARM_UP = ("A question?", "A longer text, as an answer of the corpus may be. " * 20)


def load_encoder(model_dir: Path, manifest: dict[str, Any]) -> Encoder:
    """The encoder of the artifact in ``model_dir``, warm.

    Raises LoadError, and within ``broken_artifact`` nothing else that an artifact can cause.
    """
    with ThreadPoolExecutor(1) as aside:
        # Reading a gigabyte takes as long as compiling its graph: both at a time.
        checked = aside.submit(_check_files, model_dir, manifest["weights"])
        try:
            config = served_config(model_dir, manifest)
            precision = manifest["model"].get("precision", "fp32")
            encoder = open_encoder(model_dir / WEIGHTS, config, precision=precision)
            encoder.encode(WARM_UP)
        finally:
            # Whatever a wrong file has led to, that it is wrong is what must be said.
            checked.result()
    return encoder


def _check_files(model_dir: Path, hashes: dict[str, str]) -> None:
    for name, expected in hashes.items():
        if file_hash(model_dir / WEIGHTS / name) != expected:
            raise LoadError(f"{WEIGHTS}/{name} is not the file that the manifest names")


@contextmanager
def broken_artifact() -> Iterator[None]:
    """Turns what a broken artifact makes its readers raise into LoadError."""
    try:
        yield
    except (KeyError, TypeError) as fault:
        raise LoadError(f"the manifest is incomplete: {fault!r}") from fault
    except (OSError, ValueError) as fault:
        raise LoadError(f"the artifact is broken: {fault}") from fault


def served_config(model_dir: Path, manifest: dict[str, Any]) -> ModelConfig:
    """The model's configuration. Raises LoadError where the manifest names another dimension."""
    model = manifest["model"]
    config = model_config(model_dir / WEIGHTS, model)
    if config.dimension != model["dimension"]:
        raise LoadError(
            f"the model's dimension is {config.dimension}; the manifest says {model['dimension']}"
        )
    return config
