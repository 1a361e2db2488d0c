"""The encoder against sentence-transformers and fastembed: speed, memory, worst cosine."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.context import DIMENSION, MINILM, Bench, usual_texts
from bench.machine import has_vnni
from bench.measure import Samples, times_faster
from bench.report import Chart, Section, Table, megabytes, milliseconds, ratio

REFERENCE = "sentence-transformers fp32"


def measure(bench: Bench) -> Section:
    """One short question, nine sentences, 2,000 mixed texts; each precision is a row."""
    folder = bench.work / "encoder"
    folder.mkdir()
    texts = usual_texts(64) if bench.quick else usual_texts()
    file = folder / "texts.json"
    file.write_text(json.dumps(texts), "utf-8")

    contender = partial(bench.contender, texts=str(file))
    given = {
        "ours": {"artifact": str(bench.artifact)},
        "sentence-transformers": {"model": str(MINILM)},
    }
    contenders = [
        contender(f"{name} {each}", f"models:{name.replace('-', '_')}", precision=each, **more)
        for name, more in given.items()
        for each in bench.precisions
    ]
    if has_vnni(bench.machine):
        more = given["ours"]
        contenders.append(contender("ours int8", "models:ours", precision="int8", **more))
    fastembed = {"model": str(bench.onnx), "dimension": DIMENSION}
    contenders.append(contender("fastembed fp32", "models:fastembed", **fastembed))
    *few, many = texts
    times = dict(zip(few, (5, 3) if bench.quick else (30, 15), strict=True))
    found = bench.compare("encoder, few texts", contenders, times, folder)
    # In new processes, so that the peak memory is that of the many texts.
    rounds = 1 if bench.quick else 3
    found |= bench.compare("encoder, many texts", contenders, {many: 1}, folder, rounds)
    cosines = {
        contender.name: min(
            worst_cosine(
                np.load(folder / f"{contender.name}-{task}.npy"),
                np.load(folder / f"{REFERENCE}-{task}.npy"),
            )
            for task in texts
        )
        for contender in contenders
    }
    return section(found, cosines, bench.machine["instruction sets"])


def worst_cosine(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The least cosine between a row of `found` and the same row of `expected`."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(axis=1) / lengths).min())


def section(
    found: dict[str, dict[str, Samples]], cosines: dict[str, float], instruction_sets: list[str]
) -> Section:
    """The section from samples by task and contender, and each contender's worst cosine."""
    tasks = list(found)
    faster = {
        name: [times_faster(found[task][name], found[task][REFERENCE]) for task in tasks]
        for name in cosines
    }
    rows = [
        [
            name,
            *(milliseconds(found[task][name].median) for task in tasks),
            megabytes(max(found[task][name].peak_bytes for task in tasks)),
            f"{cosine:.6f}",
        ]
        for name, cosine in cosines.items()
    ]
    columns = ["", *(f"{task}, ms" for task in tasks), "peak memory, MB", "worst cosine"]
    title = f"Times faster than {REFERENCE}"
    return Section(
        "Encoder",
        notes=[
            f"Instruction sets: {', '.join(instruction_sets) or 'not known'}. Times faster are"
            " the median of the rounds' ratios.",
            "The same weights (all-MiniLM-L6-v2), texts and limit of 256 tokens for all; each in"
            " its own process, in turn. The worst cosine is to sentence-transformers fp32, over"
            " all texts of the three columns.",
            "fastembed runs an ONNX export of the same weights. It pads its batches of 256 texts"
            " to the longest without sorting them, hence its memory and its last column.",
        ],
        tables=[
            Table("Encoding, medians", columns, rows),
            Table(title, ["", *tasks], [[name, *map(ratio, faster[name])] for name in faster]),
        ],
        charts=[
            Chart(
                "encoder",
                title,
                "times",
                tasks,
                {name: ratios for name, ratios in faster.items() if name != REFERENCE},
            )
        ],
    )
