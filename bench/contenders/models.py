"""Our encoder, sentence-transformers and fastembed, all with the same weights and texts.

Libraries are imported by the functions that use them: their import is part of what is measured.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.texts import NEAREST_CORPUS, NEAREST_QUERIES

if TYPE_CHECKING:
    from container.encoder.base import Encoder
    from container.encoder.model_config import ModelConfig, Precision

Tasks = dict[str, Callable[[], Any]]
NEAREST = "nearest neighbours"
# The sizes of the operations that the processor's limits are measured with.
SIZE = 2048
PRODUCT_OPERATIONS = 2 * SIZE**3
READ_BYTES = 1 << 30


def ours(artifact: str, precision: Precision, texts: str) -> Tasks:
    """The encoder of an artifact, as the server opens it. One task for each set of texts."""
    return _encoding(texts, _open_ours(artifact, precision).encode)


def sentence_transformers(model: str, texts: str, precision: str = "fp32") -> Tasks:
    """SentenceTransformer.encode, as the walk-through's container calls it."""
    import sentence_transformers as library
    import torch

    options = {} if precision == "fp32" else {"torch_dtype": torch.bfloat16}
    encoder = library.SentenceTransformer(model, device="cpu", model_kwargs=options)
    return _encoding(texts, lambda chosen: encoder.encode(chosen, show_progress_bar=False))


def fastembed(model: str, dimension: int, texts: str) -> Tasks:
    """fastembed on a folder that `export_onnx` wrote."""
    import numpy as np

    encoder = _open_fastembed(model, dimension)
    return _encoding(texts, lambda chosen: np.stack(list(encoder.embed(chosen))))


def our_model(model: str, precision: Precision, texts: str) -> Tasks:
    """Our encoder on a folder of sentence-transformers; also finds nearest neighbours."""
    from container.bake.weights import find_model
    from container.encoder.load import open_encoder
    from container.search.searcher import Searcher

    folder = Path(model)
    found = find_model(folder, folder, folder.name, None)
    weights = weights_in(precision, found.transformer, found.config)
    encoder = open_encoder(weights, found.config, precision=precision)
    # No prefixes, so that both encode the same texts; and no corpus is baked.
    searcher: Any = Searcher(encoder, None, {"query_prefix": "", "passage_prefix": ""})
    return _encoding(texts, encoder.encode) | {
        NEAREST: lambda: searcher.nearest(NEAREST_CORPUS, NEAREST_QUERIES, len(NEAREST_CORPUS))
    }


def their_model(model: str, texts: str) -> Tasks:
    """The same with sentence-transformers, as the walk-through's container does it."""
    import sentence_transformers as library

    encoder = library.SentenceTransformer(model, device="cpu")

    def encode(chosen: list[str], *, as_tensors: bool = False) -> Any:
        return encoder.encode(chosen, show_progress_bar=False, convert_to_tensor=as_tensors)

    def nearest() -> Any:
        vectors = encode([*NEAREST_CORPUS, *NEAREST_QUERIES], as_tensors=True)
        corpus, queries = vectors[: len(NEAREST_CORPUS)], vectors[len(NEAREST_CORPUS) :]
        return library.util.semantic_search(queries, corpus, top_k=len(NEAREST_CORPUS))

    return _encoding(texts, encode) | {NEAREST: nearest}


def product(precision: Precision, tasks: list[str]) -> Tasks:
    """The product of square matrices of SIZE, under the name of every task."""
    multiply = _product(precision)

    def run() -> int:
        multiply()
        return 0  # what it computes is of no interest

    return dict.fromkeys(tasks, run)


def projections(model: str, tokens: dict[str, int]) -> Tasks:
    """The bare products of a model's projections, layer after layer, for so many tokens each.

    They run as in our encoder and read all its weights, but nothing is between them.
    """
    import numpy as np
    import openvino as ov
    from openvino import opset13 as ops

    from container.encoder.cpu import MappedTensors, infer_request

    weights = MappedTensors(Path(model) / "model.safetensors")

    def projected(states: ov.Node, name: str) -> ov.Node:
        weight, bias = (ops.constant(weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return ops.add(ops.matmul(states, weight, False, True), bias)

    layers = json.loads((Path(model) / "config.json").read_text("utf-8"))["num_hidden_layers"]
    width = weights["embeddings.LayerNorm.weight"].size
    given = hidden = ops.parameter([-1, width], np.float32)
    for layer in (f"encoder.layer.{number}" for number in range(layers)):
        query, key, value = (
            projected(hidden, f"{layer}.attention.self.{part}")
            for part in ("query", "key", "value")
        )
        context = ops.add(ops.add(query, key), value)
        inner = projected(
            projected(context, f"{layer}.attention.output.dense"), f"{layer}.intermediate.dense"
        )
        hidden = projected(ops.relu(inner), f"{layer}.output.dense")
    request = infer_request(ov.Model([hidden], [given]), "fp32")
    values = {task: np.ones((count, width), np.float32) for task, count in tokens.items()}
    return {
        task: lambda states=states: request.infer(  # type: ignore[misc]
            [states], share_inputs=True, share_outputs=True
        )[0]
        for task, states in values.items()
    }


def _encoding(texts: str, encode: Callable[[list[str]], Any]) -> Tasks:
    sets: dict[str, list[str]] = json.loads(Path(texts).read_text("utf-8"))
    return {name: lambda chosen=chosen: encode(chosen) for name, chosen in sets.items()}  # type: ignore[misc]


def ours_from_start(artifact: str, question: str) -> Tasks:
    """What the server does: checks hashes, opens model and index, warms up, answers."""

    def answer() -> None:
        from container.serving.service import Service

        service = Service.open(Path(artifact), None)
        body = {"queries": [question], "top_k": 3, "mode": "nn_train_data"}
        service.answer(json.dumps(body), "application/json")

    return {"answer": answer}


def sentence_transformers_from_start(model: str, question: str) -> Tasks:
    """Loads the model and encodes the question; searches nothing."""

    def answer() -> None:
        from sentence_transformers import SentenceTransformer

        SentenceTransformer(model, device="cpu").encode([question])

    return {"answer": answer}


def fastembed_from_start(model: str, dimension: int, question: str) -> Tasks:
    """The same with fastembed."""
    return {"answer": lambda: list(_open_fastembed(model, dimension).embed([question]))}


def bake(artifact: str, corpus: str, entries: int, hyperparameters: str) -> Tasks:
    """Reads a corpus, encodes its answers and writes the index, as a training job does."""
    from container.bake.encode_corpus import encode_corpus
    from container.bake.settings import BakeSettings
    from container.search.passages import Passages

    settings, encoder = BakeSettings.read(Path(hyperparameters)), _open_ours(artifact)
    folder = Path(corpus).parent / "baked"
    passages = Passages(Path(artifact) / "weights" / "tokenizer.json", encoder.config)

    def run() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        encode_corpus(settings, Path(corpus), entries, encoder, passages=passages, folder=folder)

    return {"encode": run}


def bare_encoder(artifact: str, corpus: str) -> Tasks:
    """The encoder alone on all answers at once: nothing read or written, memory unbounded."""
    from corpus.reader import read_corpus

    encoder = _open_ours(artifact)
    texts = [entry.answer for entry in read_corpus(Path(corpus))]
    return {"encode": lambda: encoder.encode(texts)}


def limits(precisions: list[Precision]) -> Tasks:
    """Products of square matrices of SIZE in each precision, and reading READ_BYTES once.

    The products run as in our encoder; other libraries are slower on some processors.
    """
    import torch

    numbers = torch.ones(READ_BYTES // 4)
    return {name: _product(name) for name in precisions} | {"read": numbers.sum}


def _product(precision: Precision) -> Callable[[], Any]:
    import numpy as np
    import openvino as ov
    from openvino import opset13 as ops

    from container.encoder.cpu import infer_request

    matrix = np.ones((SIZE, SIZE), dtype=np.float32)
    left = ops.parameter(matrix.shape, np.float32)
    product = ov.Model([ops.matmul(left, ops.constant(matrix), False, True)], [left])
    request = infer_request(product, precision)
    return lambda: request.infer([matrix], share_inputs=True, share_outputs=True)


def _open_ours(artifact: str, precision: Precision = "fp32") -> Encoder:
    from container.artifact import WEIGHTS, read_manifest
    from container.encoder.load import model_config, open_encoder

    folder = Path(artifact)
    config = model_config(folder, read_manifest(folder))
    weights = weights_in(precision, folder / WEIGHTS, config)
    return open_encoder(weights, config, precision=precision)


def weights_in(precision: Precision, weights: Path, config: ModelConfig) -> Path:
    """The folder of the weights for this precision.

    For int8 they are quantised as a bake of the sample corpus would, into a folder beside
    `weights`; by the first process that asks, so measure memory in a later one.
    """
    target = weights.with_name(f"{weights.name}-int8")
    if precision != "int8":
        return weights
    if not target.is_dir():
        from bench.texts import SAMPLE
        from container.bake.quantize import quantize_file
        from container.encoder.cpu import OpenVinoEncoder
        from corpus.reader import read_corpus

        entries = read_corpus(SAMPLE)[::2]
        texts = [text for entry in entries for text in (entry.answer, *entry.questions)]
        tokens = OpenVinoEncoder(config, weights).tokenize(texts)
        quantize_file(config, tokens, weights, target)
    return target


def _open_fastembed(model: str, dimension: int) -> Any:
    """A fastembed.TextEmbedding with mean pooling and normalised, as all-MiniLM is."""
    import fastembed as library
    from fastembed.common.model_description import ModelSource, PoolingType

    library.TextEmbedding.add_custom_model(
        model="benchmarked",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="file://not-used"),
        dim=dimension,
        model_file="model.onnx",
    )
    return library.TextEmbedding("benchmarked", specific_model_path=model)


def export_onnx(model: str, folder: str) -> Tasks:
    """Writes the model as fastembed reads it: model.onnx and the tokenizer's files."""
    import sentence_transformers as library
    import torch

    def export() -> None:
        source, target = Path(model), Path(folder)
        encoder = library.SentenceTransformer(model, device="cpu")
        names = ["input_ids", "attention_mask", "token_type_ids"]
        example = torch.ones((2, 8), dtype=torch.long)
        axes = {0: "batch", 1: "length"}
        torch.onnx.export(
            encoder[0].auto_model.eval(),
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
        # fastembed reads this limit rather than sentence-transformers' own.
        settings["model_max_length"] = encoder.max_seq_length
        (target / "tokenizer_config.json").write_text(json.dumps(settings))

    return {"export": export}
