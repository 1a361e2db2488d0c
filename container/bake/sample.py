"""Some entries of a corpus, evenly spread."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from corpus.reader import Entry, iter_corpus


def spread(entries: int, count: int) -> list[int]:
    """The positions of at most `count` of so many entries."""
    places = np.linspace(0, entries - 1, min(count, entries)).astype(int)
    return [int(place) for place in np.unique(places)]


def read_entries(corpus_file: Path, positions: Collection[int]) -> dict[int, Entry]:
    """The entries of a corpus at these positions."""
    wanted = set(positions)
    corpus = iter_corpus(corpus_file, corpus_file.name)
    return {number: entry for number, entry in enumerate(corpus) if number in wanted}
