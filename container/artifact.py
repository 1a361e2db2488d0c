"""The artifact's layout and manifest, shared by the bake that writes and the server that reads."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from container.encoder.base import Encoder
from container.encoder.model_config import ModelConfig, Precision
from container.errors import LoadError

if TYPE_CHECKING:
    from container.encoder.cpu import OpenVinoEncoder
    from container.encoder.gpu import TorchEncoder

log = logging.getLogger(__name__)

# Not manifest.json: multi-model-server takes any file of that name, however deep it lies in the
# artifact, for the manifest of its own legacy format, and stops.
MANIFEST = "bake-manifest.json"
WEIGHTS = "weights"
INDEX = "index"
CODE = "code"
VENDOR = "vendor"

_CONVERTER = "openvino.tools.ovc"


def read_manifest(model_dir: Path) -> dict[str, Any]:
    """Reads the manifest. Raises LoadError when it is missing or is not a JSON object."""
    try:
        manifest = json.loads((model_dir / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as fault:
        raise LoadError(f"{MANIFEST} cannot be read: {fault}") from fault
    if not isinstance(manifest, dict):
        raise LoadError(f"{MANIFEST} is not a JSON object")
    return manifest


def model_config(weights_dir: Path, model: dict[str, Any]) -> ModelConfig:
    """The encoder's configuration, from the weights' config.json and the manifest's ``model``."""
    return ModelConfig.from_config(
        json.loads((weights_dir / "config.json").read_text("utf-8")),
        pooling=model["pooling"],
        normalize=model["normalize"],
        max_seq_length=model["max_seq_length"],
        lower_case=model["lower_case"],
    )


def open_encoder(
    weights_dir: Path, config: ModelConfig, batch_size: int = 64, precision: Precision = "fp32"
) -> Encoder:
    """The encoder for the processor that is there: torch on a GPU, otherwise OpenVINO.

    Where the processor has no instructions for ``precision`` it encodes in float32, and the log,
    the encoder's ``precision`` and its ``runtime`` say so.
    """
    kind = _encoder_kind()
    if precision not in kind.precisions():
        log.warning("This processor has no instructions for %s: encoding in fp32", precision)
        encoder = kind(config, weights_dir, batch_size)
        encoder.runtime += f" (baked for {precision}, which this processor does not have)"
        return encoder
    return kind(config, weights_dir, batch_size, precision)


def _encoder_kind() -> type[OpenVinoEncoder] | type[TorchEncoder]:
    if _has_gpu():
        from container.encoder.gpu import TorchEncoder  # noqa: PLC0415 - torch is not everywhere

        return TorchEncoder
    with _without_converter():
        from container.encoder.cpu import OpenVinoEncoder  # noqa: PLC0415 - not wanted on a GPU

    return OpenVinoEncoder


@contextmanager
def _without_converter() -> Iterator[None]:
    """openvino imports its converter, where it has one: more than half of its import's time."""
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
    # Importing torch takes seconds and 200 MB; without the driver's device there is no need.
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    try:
        import torch  # noqa: PLC0415 - torch is not everywhere
    except ImportError:
        return False
    return bool(torch.cuda.is_available())
