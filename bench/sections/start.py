"""From an artifact on the disk to the first answer, in a fresh process."""

from __future__ import annotations

from bench.context import DIMENSION, MINILM, Bench
from bench.measure import Samples
from bench.report import Chart, Section, from_start_table
from bench.texts import SHORT_QUESTION

OURS, REFERENCE, FASTEMBED = "ours", "sentence-transformers", "fastembed"


def measure(bench: Bench) -> Section:
    """From the interpreter's start to the answer, with the files in the page cache."""
    arguments: dict[str, tuple[str, dict[str, object]]] = {
        OURS: ("ours", {"artifact": str(bench.artifact)}),
        REFERENCE: ("sentence_transformers", {"model": str(MINILM)}),
        FASTEMBED: ("fastembed", {"model": str(bench.onnx), "dimension": DIMENSION}),
    }
    contenders = [
        bench.contender(name, f"models:{model}_from_start", question=SHORT_QUESTION, **given)
        for name, (model, given) in arguments.items()
    ]
    return section(bench.from_start("first answer", contenders, "answer"))


def section(found: dict[str, Samples]) -> Section:
    """The section from each contender's samples."""
    title = "From artifact to first answer"
    series = {name: [samples.median * 1000] for name, samples in found.items()}
    return Section(
        title,
        notes=[
            "A fresh process each time, from the interpreter's start, imports included; files in"
            " the page cache.",
            "Ours checks the hashes of the weights, opens the index, warms up and searches the"
            " corpus, as the server does. The others load the model and encode the question.",
        ],
        tables=[from_start_table("Median of fresh processes", found, REFERENCE)],
        charts=[Chart("start", title, "ms", ["fresh process"], series)],
    )
