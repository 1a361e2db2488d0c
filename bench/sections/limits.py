"""What bounds the encoder and the index on this machine: arithmetic and memory bandwidth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from bench.contenders.models import PRODUCT_OPERATIONS, READ_BYTES
from bench.context import DIMENSION, MINILM, Bench, usual_texts
from bench.measure import Samples
from bench.random_models import operations
from bench.report import Section, Table, milliseconds
from container.artifact import WEIGHTS, read_manifest

INDEX_SIZES = (1_000, 100_000, 1_000_000)


def measure(bench: Bench) -> Section:
    """A large matrix product in each precision, and reading a gigabyte."""
    contender = bench.contender("limits", "models:limits", precisions=bench.precisions)
    tasks = dict.fromkeys((*bench.precisions, "read"), 5)
    found = bench.compare("limits", [contender], tasks)
    tokenizer = Tokenizer.from_file(str(bench.artifact / WEIGHTS / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(read_manifest(bench.artifact)["model"]["max_seq_length"])
    return section(
        {task: by_name["limits"] for task, by_name in found.items()},
        json.loads((MINILM / "config.json").read_text("utf-8")),
        {
            name: [len(one.ids) for one in tokenizer.encode_batch(texts)]
            for name, texts in usual_texts().items()
        },
    )


def section(
    found: Mapping[str, Samples], config: Mapping[str, Any], lengths: Mapping[str, Sequence[int]]
) -> Section:
    """The section from samples by precision and of `read`, and the tokens of each text."""
    bandwidth = READ_BYTES / found["read"].median
    speeds = {
        precision: PRODUCT_OPERATIONS / samples.median
        for precision, samples in found.items()
        if precision != "read"
    }
    machine = [
        *([f"matrix product, {each}", f"{speeds[each] / 1e9:,.0f} GFLOP/s"] for each in speeds),
        ["reading memory", f"{bandwidth / 1e9:,.1f} GB/s"],
    ]
    encoding = [
        [
            name,
            f"{sum(counts):,}",
            f"{operations(config, counts) / 1e9:,.2f}",
            *(milliseconds(operations(config, counts) / speed) for speed in speeds.values()),
        ]
        for name, counts in lengths.items()
    ]
    searching = [
        [f"{entries:,} entries", milliseconds(entries * DIMENSION * 4 / bandwidth)]
        for entries in INDEX_SIZES
    ]
    return Section(
        "What bounds it",
        notes=[
            "Lower bounds: the encoder's matrix products at the speed of one large product,"
            " without padding, softmax, normalisation or tokenising; the index's vectors read"
            " once from memory. What fits the processor's caches, such as a thousand entries,"
            " can be faster than memory.",
        ],
        tables=[
            Table("What the machine can do", ["", "speed"], machine),
            Table(
                "Encoding, at best",
                ["", "tokens", "GFLOP", *(f"{precision}, ms" for precision in speeds)],
                encoding,
            ),
            Table("One query over float32 vectors, at best", ["", "ms"], searching),
        ],
    )
