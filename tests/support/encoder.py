"""An encoder whose vectors identify their tokens, and which records its batches."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from container.encoder.base import Encoder
from tests.support.container import write_tiny_model, write_weights


class CountingEncoder(Encoder):
    """A text's vector holds its first token and its length; at most 40 tokens are a batch.

    A batch takes `seconds`, and fails with `broken`.
    """

    device = "cpu"
    runtime = "counting"
    max_batch_tokens = 40

    def __init__(self, folder: Path) -> None:
        write_tiny_model(folder / "source")
        self.tokenizer_file = folder / "weights" / "tokenizer.json"
        super().__init__(write_weights(folder / "source", folder), self.tokenizer_file)
        self.batches = []
        self.broken = None
        self.seconds = 0.0

    def forward(self, tokens):
        time.sleep(self.seconds)
        self.batches.append([len(text) for text in tokens])
        if self.broken is not None:
            raise self.broken
        return np.array([vector_of(text) for text in tokens], dtype=np.float32)


def vector_of(text):
    """The vector of a text's tokens."""
    return [text[0], len(text), *[0] * 30]
