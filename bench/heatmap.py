"""`make heatmap`: nine sentences of three topics, embedded by a deployment, as a heat map.

Sentences of one topic correlate, those of different topics do not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.texts import NINE_SENTENCES, TOPICS
from commands.console import console
from commands.deployed_api import find_api
from commands.errors import guard
from commands.target import add_target_arguments, choose
from faq_search.similarity import draw_heat_map


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws the picture; returns the exit status."""
    parser = argparse.ArgumentParser(prog="bench.heatmap", description="A heat map, as PNG.")
    add_target_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("heatmap.png"), metavar="FILE")
    return guard(lambda: _draw(parser.parse_args(arguments)))


def _draw(options: argparse.Namespace) -> int:
    target, choice = choose(options)
    with find_api(target, choice).connect() as api:
        deployed = api.endpoints()
        embeddings = np.array(api.embed(NINE_SENTENCES).embeddings)
    # Pearson's correlation of each pair; numpy's stubs promise less than a matrix.
    found = np.asarray(np.corrcoef(embeddings), dtype=np.float64)
    title = f"Correlation of nine sentences: {deployed.model_id} {deployed.model_version}"
    draw_heat_map(found.tolist(), NINE_SENTENCES, title, options.output, "correlation")
    within, across = by_topic(found)
    console.print(
        f"{options.output}: mean correlation within a topic ({', '.join(TOPICS)}) {within:.2f},"
        f" between topics {across:.2f}"
    )
    return 0


def by_topic(found: NDArray[np.float64]) -> tuple[float, float]:
    """The mean correlation of sentences of one topic, and of different topics.

    `found` is [n, n]; the sentences of a topic are adjacent, and each topic has as many.
    """
    size = len(found) // len(TOPICS)
    pairs = list(combinations(range(len(found)), 2))
    within = [found[a, b] for a, b in pairs if a // size == b // size]
    across = [found[a, b] for a, b in pairs if a // size != b // size]
    return float(np.mean(within)), float(np.mean(across))


if __name__ == "__main__":
    sys.exit(main())
