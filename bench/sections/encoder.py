"""The encoder beside sentence-transformers and fastembed: speed, memory, worst cosine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.context import DIMENSION, MINILM, Bench
from bench.measure import Contender, Samples, times_faster
from bench.report import Chart, Section, Table, megabytes, milliseconds, ratio
from bench.texts import NINE_SENTENCES, SHORT_QUESTION, mixed_texts

REFERENCE = "sentence-transformers fp32"
_MODULE = "bench.contenders.encoders"


def measure(bench: Bench) -> Section:
    """One short question, nine sentences, 2,000 mixed texts; each precision is a row."""
    folder = bench.work / "encoder"
    folder.mkdir()
    mixed = 64 if bench.quick else 2000
    texts = {
        "one short question": [SHORT_QUESTION],
        "nine sentences": list(NINE_SENTENCES),
        f"{mixed:,} mixed texts": mixed_texts(mixed),
    }
    contenders = _contenders(bench, folder, texts)
    *few, many = texts
    times = dict(zip(few, (5, 3) if bench.quick else (30, 15), strict=True))
    found = bench.compare("encoder, few texts", contenders, times, folder)
    # By processes of their own, whose peak memory is that of the many.
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


def _contenders(bench: Bench, folder: Path, texts: dict[str, list[str]]) -> list[Contender]:
    file = folder / "texts.json"
    file.write_text(json.dumps(texts), "utf-8")

    def contender(name: str, function: str, **arguments: object) -> Contender:
        given = {**arguments, "texts": str(file)}
        return Contender(name, bench.python, f"{_MODULE}:{function}", given)

    return [
        *(
            contender(
                f"ours {precision}", "ours", artifact=str(bench.artifact), precision=precision
            )
            for precision in bench.precisions
        ),
        *(
            contender(
                f"sentence-transformers {precision}",
                *("sentence_transformers",),
                model=str(MINILM),
                precision=precision,
            )
            for precision in bench.precisions
        ),
        contender("fastembed fp32", "fastembed", model=str(bench.onnx), dimension=DIMENSION),
    ]


def worst_cosine(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The least cosine between a row of `found` and the same row of `expected`."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(axis=1) / lengths).min())


def section(
    found: dict[str, dict[str, Samples]], cosines: dict[str, float], instruction_sets: list[str]
) -> Section:
    """The section from samples by task and contender, and the worst cosine of each contender."""
    tasks, names = list(found), list(cosines)
    faster = {
        name: [times_faster(found[task][name], found[task][REFERENCE]) for task in tasks]
        for name in names
    }
    rows = [
        [
            name,
            *(milliseconds(found[task][name].median) for task in tasks),
            megabytes(max(found[task][name].peak_bytes for task in tasks)),
            f"{cosines[name]:.6f}",
        ]
        for name in names
    ]
    columns = ["", *(f"{task}, ms" for task in tasks), "peak memory, MB", "worst cosine"]
    return Section(
        "encoder",
        "Encoder",
        notes=[
            f"Instruction sets: {', '.join(instruction_sets) or 'not known'}. Times faster are"
            " the median of the rounds' ratios.",
            "The same weights (all-MiniLM-L6-v2), texts and limit of 256 tokens for all; each in a"
            " process of its own, in turn. The worst cosine is to sentence-transformers fp32, over"
            " all texts of the three columns.",
            "fastembed runs an ONNX export of the same weights. It pads its batches of 256 texts"
            " to the longest without sorting them, hence its memory and its last column.",
        ],
        tables=[
            Table("Encoding, medians", columns, rows),
            Table(
                f"Times faster than {REFERENCE}",
                ["", *tasks],
                [[name, *map(ratio, ratios)] for name, ratios in faster.items()],
            ),
        ],
        charts=[
            Chart(
                "encoder",
                f"Times faster than {REFERENCE}",
                "times",
                tasks,
                {name: ratios for name, ratios in faster.items() if name != REFERENCE},
            )
        ],
        data={
            "samples": {
                task: {name: samples.to_json() for name, samples in by_name.items()}
                for task, by_name in found.items()
            },
            "worst_cosine": cosines,
        },
    )
