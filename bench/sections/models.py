"""The walk-through's whole table: all its models, by ours and by sentence-transformers.

Models of one size differ in their pooling alone, so they share a file of weights, of which one is
on the disk at a time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from bench.contenders.models import NEAREST, PRODUCT_OPERATIONS, SIZE
from bench.context import MINILM, Bench
from bench.machine import has_vnni
from bench.measure import BenchError, Process, Samples, times_faster
from bench.random_models import MODELS, SIZES, Size, operations, write_model, write_weights
from bench.report import Section, Table, megabytes, milliseconds, ratio
from bench.sections.deployment import read_published
from bench.sections.encoder import worst_cosine
from bench.texts import NEAREST_CORPUS, NEAREST_QUERIES, NINE_SENTENCES, mixed_texts
from container.bake.weights import find_model, write_serving_form

NINE, MIXED = "nine sentences", "mixed texts"
THEIRS, PRODUCT, PROJECTIONS = "sentence-transformers", "product", "projections"
PRECISIONS = ("fp32", "bf16", "int8")
REAL = "all-MiniLM-L6-v2"
LEAST_COSINE = 0.9999
# So long a turn of few texts takes at best, and so long the mixed texts take at best.
_TURN_SECONDS, _MIXED_SECONDS = 0.4, 6.0
# Fewer would not be mixed; and more add nothing.
_FEWEST, _MOST = 32, 500


@dataclass(frozen=True)
class Found:
    """A model's samples at one task by contender, the operations needed, how many texts."""

    samples: Mapping[str, Samples]
    operations: int
    texts: int

    @property
    def faster(self) -> float:
        """How many times as fast as sentence-transformers ours is, both in fp32."""
        return times_faster(self.samples["fp32"], self.samples[THEIRS])

    @property
    def share(self) -> float:
        """How much of the time of ours in fp32 the bare products would take."""
        bare = times_faster(self.samples["fp32"], self.samples[PRODUCT])
        return bare * self.operations / PRODUCT_OPERATIONS

    @property
    def share_of_own(self) -> float:
        """How much of the time of ours in fp32 the model's bare projections take."""
        return times_faster(self.samples["fp32"], self.samples[PROJECTIONS])


# By task and model; the mixed texts by size.
Results = dict[str, dict[str, Found]]


def measure(bench: Bench) -> Section:
    """Nine sentences and the nearest neighbours for each model, mixed texts for each size."""
    folder = bench.work / "models"
    folder.mkdir()
    measured = _Measurement(bench, folder)
    for size in ["MiniLM"] if bench.quick else SIZES:
        weights = (
            _own_weights(folder)
            if size == MODELS[REAL].size
            else write_weights(SIZES[size], folder / size)
        )
        for name in (name for name, model in MODELS.items() if model.size == size):
            measured.model(name, weights)
            bench.publish(section(measured.results))
        weights.unlink()
    return section(measured.results)


def _own_weights(folder: Path) -> Path:
    """The weights of all-MiniLM-L6-v2, as a bake would leave them."""
    write_serving_form(find_model(MINILM, folder, REAL, None), folder / REAL / "weights")
    return folder / REAL / "weights" / "model.safetensors"


class _Measurement:
    """The results so far, and the processor's speed, by which sizes are chosen."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.results: Results = {NINE: {}, NEAREST: {}, MIXED: {}}
        self._bench = bench
        self._folder = folder
        contender = bench.contender(PRODUCT, "models:product", precision="fp32", tasks=["run"])
        with Process(contender) as process:
            self._speed = PRODUCT_OPERATIONS / min(process.run("run", times=4).seconds)

    def model(self, name: str, weights: Path) -> None:
        """Measures one; mixed texts if it is the first of its size."""
        bench, folder, size = self._bench, self._folder, MODELS[name].size
        where = write_model(folder / name / "model", MODELS[name], weights, MINILM)
        sets = {NINE: list(NINE_SENTENCES), NEAREST: [*NEAREST_CORPUS, *NEAREST_QUERIES]}
        if size not in self.results[MIXED]:
            many = mixed_texts(_FEWEST if bench.quick else _MOST)
            sets[MIXED] = many[: how_many(SIZES[size], token_counts(where, many), self._speed)]
        lengths = {task: token_counts(where, texts) for task, texts in sets.items()}
        needed = {task: operations(SIZES[size].config(), lengths[task]) for task in sets}
        # The mixed texts are not one batch, and have no need of it.
        tokens = {task: sum(lengths[task]) for task in sets if task != MIXED}
        file = folder / f"{name}.json"
        file.write_text(json.dumps({task: sets[task] for task in sets if task != NEAREST}), "utf-8")
        given = {"model": str(where), "texts": str(file)}
        contenders = [
            *(
                bench.contender(each, "models:our_model", precision=each, **given)
                for each in (*bench.precisions, *(["int8"] if has_vnni(bench.machine) else []))
            ),
            bench.contender(THEIRS, "models:their_model", **given),
            bench.contender(PRODUCT, "models:product", precision="fp32", tasks=list(sets)),
        ]
        own = bench.contender(PROJECTIONS, "models:projections", model=str(where), tokens=tokens)
        found: dict[str, dict[str, Samples]] = {}
        for task in sets:
            times = min(15, max(1, round(_TURN_SECONDS * self._speed / needed[task])))
            rounds = (1 if bench.quick else 2) if task == MIXED else None
            save = folder if task == NINE else None
            tasks = {task: times if task != MIXED else 1}
            taking_turns = [*contenders, own] if task in tokens else contenders
            found |= bench.compare(f"{name}, {task}", taking_turns, tasks, save, rounds)
        self._check(name)
        shutil.rmtree(where.with_name(f"{where.name}-int8"), ignore_errors=True)
        for task, samples in found.items():
            row = size if task == MIXED else name
            self.results[task][row] = Found(samples, needed[task], len(sets[task]))

    def _check(self, name: str) -> None:
        """Both must have done the same work."""
        ours, theirs = (np.load(self._folder / f"{each}-{NINE}.npy") for each in ("fp32", THEIRS))
        if (cosine := worst_cosine(ours, theirs)) < LEAST_COSINE:
            raise BenchError(f"{name}: ours and sentence-transformers differ, cosine {cosine:.6f}")


def token_counts(model: Path, texts: Sequence[str]) -> list[int]:
    """The tokens of each text, special ones included, cut at the model's limit."""
    limit = json.loads((model / "sentence_bert_config.json").read_text("utf-8"))["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    return [len(one.ids) for one in tokenizer.encode_batch_fast(list(texts))]


def how_many(size: Size, lengths: Sequence[int], speed: float) -> int:
    """How many of the texts take _MIXED_SECONDS at best, within the least and the most."""
    costs = accumulate(operations(size.config(), [length]) for length in lengths)
    fitting = sum(cost <= _MIXED_SECONDS * speed for cost in costs)
    return min(len(lengths), max(_FEWEST, fitting))


def section(results: Results) -> Section:
    """The section from what is measured so far."""
    published = read_published()
    tables = [
        Table(
            title,
            ["", *_columns(own=True), *(f"published {each}, ms" for each in _INSTANCES)],
            [
                [model, *_cells(rows[model], own=True), *published[model][first : first + 2]]
                for model in MODELS
                if model in rows
            ],
        )
        for title, rows, first in (
            ("Nine sentences", results[NINE], 0),
            ("Nearest neighbours, three queries in three texts", results[NEAREST], 2),
        )
    ]
    mixed = [
        [size, f"{found.texts}", *_cells(found, own=False)]
        for size, found in results[MIXED].items()
    ]
    tables.append(Table("Mixed texts, by size", ["", "texts", *_columns(own=False)], mixed))
    return Section(
        "The models of the walk-through",
        notes=[
            "Models of the real architecture and size. all-MiniLM-L6-v2 has its own weights, the"
            " others random ones: how long a model takes does not depend on their values. Its"
            " tokenizer stands in for theirs, XLM-RoBERTa's (the multilingual ones) included; word"
            " embeddings have their real size.",
            "Medians, each contender in its own process, in turns. Times faster: ours over"
            " sentence-transformers, both fp32, the median of the rounds' ratios.",
            "Shares are of the time of ours in fp32, measured in the same turns. Of one large"
            " product: what the encoder's matrix products would take at the speed of a product"
            f" of square matrices of {SIZE}, whose numbers are read once for much arithmetic. Of"
            " its own: what its projections take for as many tokens with nothing between them;"
            " few tokens read all the weights for little arithmetic.",
            "A dash: this processor has no instructions for the precision, or it was not measured."
            " Models of one size differ in their pooling alone, so mixed texts are measured once a"
            " size; as many of them as take some seconds.",
            "Published: AWS's walk-through, the mean of 100 requests to an endpoint on the instance"
            " named. Other hardware, containers and texts, and a network: for orientation only.",
        ],
        tables=tables,
    )


_INSTANCES = ("g5.2xlarge", "c6i.xlarge")


def _columns(*, own: bool) -> list[str]:
    return [
        "sentence-transformers fp32, ms",
        *(f"ours {precision}, ms" for precision in PRECISIONS),
        *("times faster, fp32", "share of one large product"),
        *(["share of its own products"] if own else []),
        *("peak memory of sentence-transformers, MB", "of ours fp32, MB"),
    ]


def _cells(found: Found, *, own: bool) -> list[str]:
    samples = found.samples
    ours = (samples.get(precision) for precision in PRECISIONS)
    return [
        milliseconds(samples[THEIRS].median),
        *("-" if each is None else milliseconds(each.median) for each in ours),
        ratio(found.faster),
        ratio(found.share),
        *([ratio(found.share_of_own)] if own else []),
        *(megabytes(samples[each].peak_bytes) for each in (THEIRS, "fp32")),
    ]
