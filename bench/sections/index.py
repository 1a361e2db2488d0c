"""The index against util.semantic_search, faiss flat and the bare matrix product."""

from __future__ import annotations

import shutil

import numpy as np

from bench.contenders.indexes import QUERIES
from bench.context import DIMENSION, Bench
from bench.measure import BenchError, Process, Samples, times_faster
from bench.report import Chart, Section, Table, milliseconds, ratio

OURS, SEMANTIC, FAISS, PRODUCT = ("ours", "util.semantic_search", "faiss flat", "matrix product")
TWO, VECTORS, HYBRID, WORDS = ("two vectors", "vectors", "hybrid", "words alone")
_FUNCTIONS = {
    OURS: "ours",
    SEMANTIC: "semantic_search",
    FAISS: "faiss_flat",
    PRODUCT: "matrix_product",
}
_RANKINGS = {TWO: "two_vectors", VECTORS: "vectors", HYBRID: "hybrid", WORDS: "words"}
# Beyond, three vectors an entry would not fit the memory of a small machine.
_MOST_HYBRID = 100_000
Found = dict[int, dict[str, dict[str, Samples]]]


def measure(bench: Bench) -> Section:
    """The ten best of 1e3, 1e5 and 1e6 entries, for one query, 16 and 256."""
    found: Found = {}
    for entries in (1_000, 10_000) if bench.quick else (1_000, 100_000, 1_000_000):
        folder = bench.work / f"index-{entries}"
        folder.mkdir()
        ranking = "hybrid" if entries <= _MOST_HYBRID else "answer"
        given = {"folder": str(folder), "ranking": ranking}
        size = {"entries": entries, "dimension": DIMENSION, **given}
        with Process(bench.contender("index", "indexes:write_index", **size)) as process:
            process.run("write")
        contenders = [
            bench.contender(
                name, f"indexes:{function}", **(given if name == OURS else {"folder": str(folder)})
            )
            for name, function in _FUNCTIONS.items()
        ]
        if ranking == "hybrid":
            contenders += [
                bench.contender(name, f"indexes:{function}", **given)
                for name, function in _RANKINGS.items()
            ]
        times = 3 if bench.quick else {1_000: 200, 100_000: 15, 1_000_000: 3}[entries]
        tasks = {f"{count} queries": times for count in QUERIES}
        found[entries] = bench.compare(f"index of {entries:,}", contenders, tasks, folder)
        for task in tasks:
            check_same(*(np.load(folder / f"{n}-{task}.npy") for n in (OURS, SEMANTIC, FAISS)))
        shutil.rmtree(folder)  # 1.5 GB
    return section(found)


def check_same(ours: np.ndarray, *others: np.ndarray) -> None:
    """Raises BenchError if more than one result in a hundred differs; ties explain fewer."""
    if any(np.mean(ours != other) > 0.01 for other in others):
        raise BenchError("the contenders found different entries")


def section(found: Found) -> Section:
    """The section from samples by number of entries, task and contender."""
    rows = [
        [
            f"{entries:,} entries, {'1 query' if task == '1 queries' else task}",
            *(milliseconds(samples[name].median) for name in _FUNCTIONS),
            ratio(times_faster(samples[OURS], samples[SEMANTIC])),
            ratio(times_faster(samples[OURS], samples[FAISS])),
        ]
        for entries, by_task in found.items()
        for task, samples in by_task.items()
    ]
    series = {
        name: [by_task["1 queries"][name].median * 1000 for by_task in found.values()]
        for name in _FUNCTIONS
    }
    labels = [f"{entries:,} entries" for entries in found]
    columns = ["", *_FUNCTIONS, f"times faster than {SEMANTIC}", "than faiss"]
    rankings = [
        [
            f"{entries:,} entries, {'1 query' if task == '1 queries' else task}",
            *(milliseconds(samples[name].median) for name in (OURS, *_RANKINGS)),
            ratio(times_faster(samples[TWO], samples[HYBRID])),
        ]
        for entries, by_task in found.items()
        for task, samples in by_task.items()
        if HYBRID in samples
    ]
    return Section(
        "Index",
        notes=[
            f"The ten best by dot product of normalised random vectors of {DIMENSION} float32"
            " numbers. All but the matrix product find the same entries (checked).",
            "Ours maps its file into memory; the others hold a copy. The matrix product is numpy's"
            " alone and finds nothing: no exact search based on it can be faster.",
            "Rankings: entries of 63 made-up words and queries of nine, as frequent as in any"
            " language. Of two vectors the better counts, as before there were rankings.",
        ],
        tables=[
            Table("Exact top-10, median ms", columns, rows),
            Table(
                "Rankings: one vector an entry, two, three, and three with words; median ms",
                ["", "one vector", *_RANKINGS, "hybrid to two vectors"],
                rankings,
            ),
        ],
        charts=[
            Chart("index", "Exact top-10, one query", "ms", labels, series, logarithmic=True),
        ],
    )
