"""Encoders: ours, sentence-transformers and fastembed; all with the same weights and texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from container.encoder.base import Encoder
    from container.encoder.model_config import Precision

Tasks = dict[str, Callable[[], Any]]


def _texts(file: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(Path(file).read_text("utf-8"))
    return found


def ours(artifact: str, precision: Precision, texts: str) -> Tasks:
    """The encoder of an artifact, as the server opens it. A task for each set of texts."""
    encoder = open_ours(artifact, precision)

    def task(chosen: list[str]) -> Callable[[], Any]:
        return lambda: encoder.encode(chosen)

    return {name: task(chosen) for name, chosen in _texts(texts).items()}


def open_ours(artifact: str, precision: Precision = "fp32") -> Encoder:
    """The encoder of an artifact."""
    from container.artifact import WEIGHTS, read_manifest  # noqa: PLC0415
    from container.encoder.load import model_config, open_encoder  # noqa: PLC0415

    folder = Path(artifact)
    config = model_config(folder, read_manifest(folder))
    return open_encoder(folder / WEIGHTS, config, precision=precision)


def sentence_transformers(model: str, texts: str, precision: str = "fp32") -> Tasks:
    """SentenceTransformer.encode, as the walk-through's container calls it."""
    import sentence_transformers as library  # noqa: PLC0415
    import torch  # noqa: PLC0415

    options = {} if precision == "fp32" else {"torch_dtype": torch.bfloat16}
    encoder = library.SentenceTransformer(model, device="cpu", model_kwargs=options)

    def task(chosen: list[str]) -> Callable[[], Any]:
        return lambda: encoder.encode(chosen, show_progress_bar=False)

    return {name: task(chosen) for name, chosen in _texts(texts).items()}


def fastembed(model: str, dimension: int, texts: str) -> Tasks:
    """fastembed on a folder that `export_onnx` wrote."""
    import numpy as np  # noqa: PLC0415

    encoder = open_fastembed(model, dimension)

    def task(chosen: list[str]) -> Callable[[], Any]:
        return lambda: np.stack(list(encoder.embed(chosen)))

    return {name: task(chosen) for name, chosen in _texts(texts).items()}


def open_fastembed(model: str, dimension: int) -> Any:
    """A fastembed.TextEmbedding; mean pooling and normalised, as all-MiniLM is."""
    import fastembed as library  # noqa: PLC0415
    from fastembed.common.model_description import ModelSource, PoolingType  # noqa: PLC0415

    library.TextEmbedding.add_custom_model(
        model="benchmarked",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="file://not-asked"),
        dim=dimension,
        model_file="model.onnx",
    )
    return library.TextEmbedding("benchmarked", specific_model_path=model)


def export_onnx(model: str, folder: str) -> Tasks:
    """Writes the model as fastembed reads it: model.onnx and the tokenizer's files."""
    import shutil  # noqa: PLC0415

    import sentence_transformers as library  # noqa: PLC0415
    import torch  # noqa: PLC0415

    def export() -> None:
        source, target = Path(model), Path(folder)
        encoder = library.SentenceTransformer(model, device="cpu")
        transformer = encoder[0].auto_model.eval()
        names = ["input_ids", "attention_mask", "token_type_ids"]
        example = torch.ones((2, 8), dtype=torch.long)
        axes = {0: "batch", 1: "length"}
        torch.onnx.export(
            transformer,
            (example, example, example * 0),
            str(target / "model.onnx"),
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes=dict.fromkeys([*names, "last_hidden_state"], axes),
            opset_version=17,
            dynamo=False,
        )
        for name in ("tokenizer.json", "special_tokens_map.json", "config.json"):
            shutil.copyfile(source / name, target / name)
        settings = json.loads((source / "tokenizer_config.json").read_text("utf-8"))
        # fastembed goes by this and not by sentence-transformers' own limit.
        settings["model_max_length"] = encoder.max_seq_length
        (target / "tokenizer_config.json").write_text(json.dumps(settings))

    return {"export": export}
