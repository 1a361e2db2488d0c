"""The bake's throughput compared with the bare encoder's."""

from __future__ import annotations

import csv

from bench.context import Bench
from bench.measure import Samples, times_faster
from bench.report import Section, Table, megabytes, ratio
from bench.texts import mixed_texts

BAKE, BARE = "bake", "bare encoder"


def measure(bench: Bench) -> Section:
    """6,000 short entries, read from a file, encoded, and written as an index."""
    entries = 500 if bench.quick else 6_000
    folder = bench.work / "bake"
    folder.mkdir()
    corpus = folder / "corpus.csv"
    with corpus.open("w", encoding="utf-8", newline="") as stream:
        texts = mixed_texts(entries, most_sentences=2)
        csv.writer(stream).writerows((f"Question {n}?", text) for n, text in enumerate(texts))
    given = {"artifact": str(bench.artifact), "corpus": str(corpus)}
    job = {"entries": entries, "hyperparameters": str(bench.hyperparameters)}
    contenders = [
        bench.contender(BAKE, "models:bake", **given, **job),
        bench.contender(BARE, "models:bare_encoder", **given),
    ]
    return section(bench.compare("bake", contenders, {"encode": 1})["encode"], entries)


def section(found: dict[str, Samples], entries: int) -> Section:
    """The section from both samples of encoding `entries`."""
    rows = [
        [
            name,
            f"{entries / samples.median:,.0f}",
            ratio(times_faster(samples, found[BARE])),
            megabytes(samples.peak_bytes),
        ]
        for name, samples in found.items()
    ]
    columns = ["", "entries per second", "relative to the bare encoder", "peak memory, MB"]
    return Section(
        "Bake",
        notes=[
            f"{entries:,} short answers (one or two sentences), float32. The bake reads the corpus"
            " file, encodes window by window and writes the index; the bare encoder has all texts"
            " in memory and sorts them by length all at once.",
            f"The bake reaches {1 / times_faster(found[BARE], found[BAKE]):.0%} of the bare"
            " encoder's throughput.",
        ],
        tables=[Table("Encoding a corpus", columns, rows)],
    )
