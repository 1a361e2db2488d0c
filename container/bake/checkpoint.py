"""Reads a model's tensors as float32, from safetensors or, with torch, from a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from container.errors import BakeError

CHECKPOINT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
PREFIXES = ("bert.", "roberta.", "model.", "0.auto_model.")


def read_checkpoint(folder: Path) -> dict[str, NDArray[np.float32]]:
    """All tensors of the checkpoint in `folder` by name, without the family's prefix.

    Half precision becomes float32; integer tensors (position numbers) are left out. Raises
    BakeError for what cannot be read.
    """
    name = next(name for name in CHECKPOINT_FILES if (folder / name).is_file())
    files = _shards(folder, name)
    reader = _read_safetensors if "safetensors" in name else _read_torch
    tensors: dict[str, NDArray[np.float32]] = {}
    for file in files:
        for key, tensor in reader(file):
            tensors[_without_prefix(key)] = tensor
    return tensors


def _shards(folder: Path, name: str) -> list[Path]:
    if not name.endswith(".index.json"):
        return [folder / name]
    index = json.loads((folder / name).read_text("utf-8"))
    files = [folder / shard for shard in sorted(set(index["weight_map"].values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise BakeError(f"{name} of the model names {', '.join(missing)}, which is missing.")
    return files


def _read_safetensors(file: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    try:
        with safe_open(file, framework="numpy") as tensors:
            kinds = {key: tensors.get_slice(key).get_dtype() for key in tensors.keys()}  # noqa: SIM118
            for key, kind in kinds.items():
                if kind in {"F16", "F32", "F64"}:
                    yield key, np.ascontiguousarray(tensors.get_tensor(key), dtype=np.float32)
        bfloat16 = {key for key, kind in kinds.items() if kind == "BF16"}
        if bfloat16:
            yield from _read_bfloat16(file, bfloat16)
    except SafetensorError as error:
        raise BakeError(f"{file.name} of the model cannot be read: {error}.") from error


def _read_bfloat16(file: Path, keys: set[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """numpy has no bfloat16, whose bits are the upper half of a float32's."""
    with file.open("rb") as raw:
        header_size = int.from_bytes(raw.read(8), "little")
        header = json.loads(raw.read(header_size))
    data = np.memmap(file, dtype=np.uint8, mode="r", offset=8 + header_size)
    for key in sorted(keys):
        start, end = header[key]["data_offsets"]
        halves = data[start:end].view("<u2").astype(np.uint32)
        yield key, (halves << 16).view(np.float32).reshape(header[key]["shape"])


def _read_torch(file: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    try:
        import torch  # noqa: PLC0415 - only in the image, and only for such checkpoints
    except ImportError as error:
        raise BakeError(
            f"The model's weights are a torch checkpoint ({file.name}), but torch is not installed "
            "here. Convert them to model.safetensors, or bake in the inference image."
        ) from error
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    for key, tensor in state.items():
        if tensor.is_floating_point():
            yield key, np.ascontiguousarray(tensor.to(torch.float32).numpy())


def _without_prefix(key: str) -> str:
    for prefix in PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key
