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
from botocore.exceptions import BotoCoreError, ClientError
from numpy.typing import NDArray

from bench.charts import heat_map
from bench.texts import NINE_SENTENCES, TOPICS
from commands.cdk_cli import console
from commands.deployed_api import find_api
from commands.local_state import LocalError
from commands.target import add_options, choose
from faq_search.errors import FaqSearchError
from stage.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws the picture; returns the exit status."""
    parser = argparse.ArgumentParser(prog="bench.heatmap", description="A heat map, as PNG.")
    add_options(parser)
    parser.add_argument("--output", type=Path, default=Path("heatmap.png"), metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        target, choice = choose(options)
        with find_api(target, choice).connect() as api:
            deployed = api.endpoints()
            embeddings = np.array(api.embed(NINE_SENTENCES).embeddings)
    except (SettingsError, LocalError, FaqSearchError, ClientError, BotoCoreError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    # Pearson's correlation of each pair; numpy's stubs promise less than a matrix.
    found = np.asarray(np.corrcoef(embeddings), dtype=np.float64)
    title = f"Correlation of nine sentences: {deployed.model_id} {deployed.model_version}"
    heat_map(found, NINE_SENTENCES, title, options.output)
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
