"""Finds a sentence-embedding model in the weights channel and writes the form that is served.

JumpStart prefixes differ: they hold a folder of files, a nested folder, or a tar.gz of either. So
the model is found by its files, and if there is none, the message lists what there is.
"""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from container.artifact import file_hash
from container.bake.checkpoint import CHECKPOINT_FILES, read_checkpoint
from container.bake.tokenizer_file import write_tokenizer
from container.encoder.model_config import POOLINGS, ModelConfig
from container.errors import BakeError

LISTED_FILES = 40


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model in the weights channel.

    `root` is the folder with `modules.json` or, without one, the transformer's own.
    `pooling_source` says which file or which rule chose the pooling.
    """

    root: Path
    transformer: Path
    config: ModelConfig
    pooling_source: str


def find_model(
    channel: Path, scratch: Path, model_id: str, max_seq_length: int | None
) -> FoundModel:
    """Finds the model below `channel`; unpacks archives below `scratch`.

    `max_seq_length` overrides the model's own. Raises BakeError when there is no model, listing
    the files, or when it is of a kind that the encoders do not run.
    """
    root, transformer = _locate(channel, scratch)
    settings = _read_json(transformer / "config.json")
    pooling, source, normalize = _pooling(root, settings, model_id)
    sentence = _sentence_settings(root, transformer)
    length = max_seq_length or sentence.get("max_seq_length") or _tokenizer_limit(transformer)
    try:
        config = ModelConfig.from_config(
            settings,
            pooling=pooling,
            normalize=normalize,
            max_seq_length=length if max_seq_length else _fitting(length, settings),
            lower_case=bool(sentence.get("do_lower_case", False)),
        )
    except KeyError as missing:
        raise BakeError(f"The model's config.json has no {missing}.") from missing
    except ValueError as error:
        raise BakeError(f"The model cannot be used: {error}.") from error
    return FoundModel(root, transformer, config, source)


def write_serving_form(model: FoundModel, target: Path) -> None:
    """Writes config.json, tokenizer.json and model.safetensors (float32) into `target`.

    The tensors are the encoder's, under transformers' names without a prefix, so that both
    OpenVINO's graph and `AutoModel` can read the file.
    """
    target.mkdir(parents=True)
    tensors = {
        name: tensor
        for name, tensor in read_checkpoint(model.transformer).items()
        if _is_encoders(name)
    }
    _check_shapes(tensors, model.config)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    config = (model.transformer / "config.json").read_bytes()
    (target / "config.json").write_bytes(config)
    write_tokenizer(model.transformer, model.root, target / "tokenizer.json")


def source_hashes(model: FoundModel) -> dict[str, str]:
    """The sha256 of each weight file as it was found, by name."""
    return {
        path.name: file_hash(path)
        for path in sorted(model.transformer.iterdir())
        if path.suffix in {".safetensors", ".bin"}
    }


def _locate(channel: Path, scratch: Path) -> tuple[Path, Path]:
    found = _search(channel)
    if found is None:
        for number, archive in enumerate(_archives(channel)):
            target = scratch / f"weights-{number}"
            with tarfile.open(archive) as tar:
                # Python before 3.11.4 has no filters; the image's 3.12 does.
                tar.extraction_filter = getattr(tarfile, "data_filter", None)
                tar.extractall(target)  # noqa: S202 - filtered by the line above
            found = _search(target)
            if found is not None:
                break
            channel = target
    if found is not None:
        return found
    files = sorted(str(path.relative_to(channel)) for path in channel.rglob("*") if path.is_file())
    listed = ", ".join(files[:LISTED_FILES]) or "nothing"
    more = f" and {len(files) - LISTED_FILES} more" if len(files) > LISTED_FILES else ""
    raise BakeError(
        "No model was found in the weights channel. A folder with config.json and one of "
        f"{', '.join(CHECKPOINT_FILES)} is needed; found: {listed}{more}."
    )


def _archives(channel: Path) -> list[Path]:
    return sorted(
        path for path in channel.rglob("*") if path.name.endswith((".tar.gz", ".tgz", ".tar"))
    )


def _search(folder: Path) -> tuple[Path, Path] | None:
    """The root and the transformer's folder of the model nearest to the top."""
    candidates = sorted(
        (
            path.parent
            for path in folder.rglob("config.json")
            if any((path.parent / name).is_file() for name in CHECKPOINT_FILES)
        ),
        key=lambda path: (len(path.parts), path),
    )
    if not candidates:
        return None
    transformer = candidates[0]
    if transformer != folder and not (transformer / "modules.json").is_file():
        # sentence-transformers may keep the transformer in a subfolder, 0_Transformer.
        parent = transformer.parent
        if (parent / "modules.json").is_file():
            return parent, transformer
    return transformer, transformer


def _pooling(root: Path, config: dict[str, Any], model_id: str) -> tuple[str, str, bool]:
    """The pooling, what chose it, and whether vectors are normalised."""
    modules_file = root / "modules.json"
    if not modules_file.is_file():
        files = sorted(root.glob("*Pooling/config.json"))
        if files:
            return _pooling_mode(files[0]), str(files[0].relative_to(root)), True
        names = f"{model_id} {config.get('_name_or_path', '')}".lower()
        family = next((name for name in ("bge", "e5", "gte", "minilm") if name in names), None)
        pooling = "cls" if family == "bge" else "mean"
        return pooling, f"default of the family {family or 'unknown'}", True
    modules = json.loads(modules_file.read_text("utf-8"))
    kinds = {str(module["type"]).rpartition(".")[2]: module for module in modules}
    unknown = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if unknown or "Pooling" not in kinds:
        raise BakeError(
            "The model's modules.json lists "
            f"{', '.join(kinds)}; supported are Transformer, Pooling and Normalize."
        )
    file = root / str(kinds["Pooling"]["path"]) / "config.json"
    if not file.is_file():
        raise BakeError(f"modules.json names {file.relative_to(root)}, which is missing.")
    return _pooling_mode(file), str(file.relative_to(root)), "Normalize" in kinds


def _pooling_mode(file: Path) -> str:
    settings = _read_json(file)
    if isinstance(settings.get("pooling_mode"), str):
        return str(settings["pooling_mode"])
    modes = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_max_tokens": "max",
    }
    chosen = [key for key, on in settings.items() if key.startswith("pooling_mode_") and on is True]
    if len(chosen) != 1 or chosen[0] not in modes:
        raise BakeError(
            f"{file.parent.name}/{file.name} chooses {', '.join(chosen) or 'no pooling'}; "
            f"supported is exactly one of {', '.join(POOLINGS)}."
        )
    return modes[chosen[0]]


def _sentence_settings(root: Path, transformer: Path) -> dict[str, Any]:
    for folder in (transformer, root):
        file = folder / "sentence_bert_config.json"
        if file.is_file():
            return _read_json(file)
    return {}


def _tokenizer_limit(transformer: Path) -> int | None:
    file = transformer / "tokenizer_config.json"
    if not file.is_file():
        return None
    limit = _read_json(file).get("model_max_length")
    # transformers writes 1e30 for "no limit".
    return int(limit) if isinstance(limit, int | float) and limit < 1e6 else None


def _fitting(length: int | None, config: dict[str, Any]) -> int | None:
    """The model's own length, at most what its table of positions allows."""
    if length is None:
        return None
    positions = int(config["max_position_embeddings"])
    if config.get("model_type") != "bert":
        positions -= int(config.get("pad_token_id", 0)) + 1
    return min(length, positions)


def _is_encoders(name: str) -> bool:
    return bool(
        re.match(
            r"embeddings\.(word_embeddings|position_embeddings|token_type_embeddings|LayerNorm)\."
            r"|encoder\.layer\.",
            name,
        )
    )


def _check_shapes(tensors: dict[str, NDArray[np.float32]], config: ModelConfig) -> None:
    needed = {
        "embeddings.word_embeddings.weight": None,
        "embeddings.position_embeddings.weight": (config.max_positions, config.dimension),
        "embeddings.LayerNorm.weight": (config.dimension,),
        **{
            f"encoder.layer.{number}.output.dense.bias": (config.dimension,)
            for number in range(config.layers)
        },
    }
    for name, shape in needed.items():
        tensor = tensors.get(name)
        if tensor is None:
            some = ", ".join(sorted(tensors)[:5]) or "none of an encoder's tensors"
            raise BakeError(f"The model's weights have no tensor {name}; found {some} ...")
        if shape is not None and tensor.shape != shape:
            raise BakeError(f"The tensor {name} has shape {tensor.shape}; expected {shape}.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BakeError(f"{path.name} of the model is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BakeError(f"{path.name} of the model is not a JSON object.")
    return found
