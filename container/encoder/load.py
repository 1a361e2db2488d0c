"""Opens a model: the encoder for this processor; an artifact's, with files checked and warm."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from container.artifact import WEIGHTS, check_files, hash_files
from container.encoder.base import Encoder
from container.encoder.model_config import ModelConfig, Precision
from container.errors import LoadError

if TYPE_CHECKING:
    from container.encoder.cpu import OpenVinoEncoder
    from container.encoder.gpu import TorchEncoder

logger = logging.getLogger(__name__)

WARM_UP = ("A question?", "A longer text, as an answer of the corpus may be. " * 20)
_CONVERTER = "openvino.tools.ovc"
_DEVICES = Path("/dev")


def load_encoder(
    model_dir: Path, manifest: dict[str, Any], hashes: Future[dict[str, str]] | None = None
) -> Encoder:
    """The encoder of the artifact in `model_dir`, warm, once all files are checked.

    Raises LoadError; whatever else a broken artifact causes becomes one in `broken_artifact`.

    Args:
        hashes: of the files, if somebody has begun to hash them.
    """
    # Hashing takes about as long as loading the model, so both run at once.
    hashes = hashes or hash_files(model_dir)
    try:
        config = model_config(model_dir, manifest)
        precision = manifest["model"].get("precision", "fp32")
        encoder = open_encoder(model_dir / WEIGHTS, config, precision=precision)
        encoder.encode(WARM_UP)
    finally:
        # A wrong file is the cause to report, whatever error it led to above.
        check_files(manifest["files"], hashes.result())
    return encoder


@contextmanager
def broken_artifact() -> Iterator[None]:
    """Turns what reading a broken artifact raises into LoadError."""
    try:
        yield
    except (KeyError, TypeError) as error:
        raise LoadError(f"the manifest is incomplete: {error!r}") from error
    except (OSError, ValueError) as error:
        raise LoadError(f"the artifact is broken: {error}") from error


def model_config(model_dir: Path, manifest: dict[str, Any]) -> ModelConfig:
    """The model's configuration. Raises LoadError when the manifest names another dimension."""
    model = manifest["model"]
    config = ModelConfig.from_config(
        json.loads((model_dir / WEIGHTS / "config.json").read_text("utf-8")),
        pooling=model["pooling"],
        normalize=model["normalize"],
        max_seq_length=model["max_seq_length"],
        lower_case=model["lower_case"],
    )
    if config.dimension != model["dimension"]:
        raise LoadError(
            f"the model's dimension is {config.dimension}; the manifest says {model['dimension']}"
        )
    return config


def open_encoder(
    weights_dir: Path, config: ModelConfig, batch_size: int = 64, precision: Precision = "fp32"
) -> Encoder:
    """The encoder for this machine: torch if there is a GPU, else OpenVINO.

    A processor without instructions for `precision` encodes in float32; the log, the encoder's
    `precision` and its `runtime` say so.
    """
    kind = _encoder_kind()
    if precision not in kind.precisions():
        logger.warning("This processor has no instructions for %s: encoding in fp32", precision)
        encoder = kind(config, weights_dir, batch_size)
        encoder.runtime += f" (baked for {precision}, which this processor does not have)"
        return encoder
    return kind(config, weights_dir, batch_size, precision)


def _encoder_kind() -> type[OpenVinoEncoder] | type[TorchEncoder]:
    if _has_gpu():
        from container.encoder.gpu import TorchEncoder  # noqa: PLC0415 - torch is not everywhere

        return TorchEncoder
    with _without_converter():
        from container.encoder.cpu import OpenVinoEncoder  # noqa: PLC0415 - unused on a GPU

    return OpenVinoEncoder


@contextmanager
def _without_converter() -> Iterator[None]:
    """Hides OpenVINO's model converter, which takes more than half of the time of its import."""
    modules: dict[str, Any] = sys.modules
    if _CONVERTER in modules:
        yield
        return
    modules[_CONVERTER] = None
    try:
        yield
    finally:
        del modules[_CONVERTER]


def _has_gpu() -> bool:
    """Whether to encode on a GPU. Raises LoadError where there is one that does not work.

    The CPU would then give the same vectors, so slowly that nobody would know why, at the price of
    a GPU.
    """
    # Importing torch takes seconds and 200 MB, so first look for the driver's device.
    devices = sorted(_DEVICES.glob("nvidia[0-9]*"))
    if not devices:
        return False
    try:
        import torch  # noqa: PLC0415 - torch is not everywhere
    except ModuleNotFoundError as error:
        # AWS's images have it; a developer's machine may have a GPU and encode without it.
        if error.name == "torch":
            return False
        raise
    if torch.version.cuda is None:
        return False
    try:
        torch.cuda.init()
    except Exception as error:
        raise LoadError(
            f"CUDA does not work on this machine's GPU ({devices[0]}; PyTorch "
            f"{torch.__version__} for CUDA {torch.version.cuda}): {error}. The driver may be too "
            "old for it."
        ) from error
    return True
