"""The bake's encoding of a corpus, and the encoder alone on the same texts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.contenders.encoders import open_ours

Tasks = dict[str, Callable[[], Any]]


def bake(artifact: str, corpus: str, entries: int, hyperparameters: str) -> Tasks:
    """Reads a corpus, encodes its answers and writes the index, as a training job does."""
    from container.bake.encode_corpus import encode_corpus  # noqa: PLC0415
    from container.bake.settings import BakeSettings  # noqa: PLC0415

    settings, encoder = BakeSettings.read(Path(hyperparameters)), open_ours(artifact)
    folder = Path(corpus).parent / "baked"

    def run() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        encode_corpus(settings, Path(corpus), entries, encoder, folder)

    return {"encode": run}


def encoder(artifact: str, corpus: str) -> Tasks:
    """The bare encoder on all answers at once: no reading, no writing, memory without bounds."""
    from corpus.reader import read_corpus  # noqa: PLC0415

    found = open_ours(artifact)
    texts = [entry.answer for entry in read_corpus(Path(corpus))]
    return {"encode": lambda: found.encode(texts)}
