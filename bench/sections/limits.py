"""What bounds the encoder and the index on this machine: arithmetic and memory bandwidth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from bench.contenders.ceilings import PRODUCT_OPERATIONS, READ_BYTES
from bench.context import DIMENSION, MINILM, Bench
from bench.measure import Contender, Samples
from bench.report import Section, Table, milliseconds
from bench.texts import NINE_SENTENCES, SHORT_QUESTION, mixed_texts
from container.artifact import WEIGHTS, read_manifest

INDEX_SIZES = (1_000, 100_000, 1_000_000)


def measure(bench: Bench) -> Section:
    """A large matrix product in each precision, and reading a gigabyte."""
    given = {"precisions": list(bench.precisions)}
    contender = Contender("limits", bench.python, "bench.contenders.ceilings:ceilings", given)
    tasks = dict.fromkeys((*bench.precisions, "read"), 5)
    found = bench.compare("limits", [contender], tasks)
    samples = {task: by_name["limits"] for task, by_name in found.items()}
    config = json.loads((MINILM / "config.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(bench.artifact / WEIGHTS / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(read_manifest(bench.artifact)["model"]["max_seq_length"])
    texts = {
        "one short question": [SHORT_QUESTION],
        "nine sentences": list(NINE_SENTENCES),
        "2,000 mixed texts": mixed_texts(2000),
    }
    lengths = {
        name: [len(one.ids) for one in tokenizer.encode_batch(chosen)]
        for name, chosen in texts.items()
    }
    return section(samples, config, lengths)


def operations(config: Mapping[str, Any], lengths: Sequence[int]) -> int:
    """Floating-point operations to encode texts of so many tokens, without any padding.

    config: a transformer encoder's, of transformers' config.json. Matrix products alone: four
    square ones and two of the inner layer for each token, and attention between all pairs.
    """
    size, inner = config["hidden_size"], config["intermediate_size"]
    token = 2 * (4 * size * size + 2 * size * inner)
    pairs = 4 * size
    return int(
        config["num_hidden_layers"] * sum(length * token + length**2 * pairs for length in lengths)
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
    rows = [
        [f"matrix product, {precision}", f"{speed / 1e9:,.0f} GFLOP/s"]
        for precision, speed in speeds.items()
    ]
    rows.append(["reading memory", f"{bandwidth / 1e9:,.1f} GB/s"])
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
        "limits",
        "What bounds it",
        notes=[
            "At best this long: the encoder's matrix products at the speed of one large product,"
            " with no padding, no softmax or normalisation, no tokenising; the index's vectors"
            " read once from memory. What fits the processor's caches, such as a thousand entries,"
            " is faster than memory.",
        ],
        tables=[
            Table("What the machine can do", ["", "speed"], rows),
            Table(
                "Encoding, at best",
                ["", "tokens", "GFLOP", *(f"{precision}, ms" for precision in speeds)],
                encoding,
            ),
            Table("One query over float32 vectors, at best", ["", "ms"], searching),
        ],
        data={
            "samples": {name: samples.to_json() for name, samples in found.items()},
            "tokens": {name: sum(counts) for name, counts in lengths.items()},
        },
    )
