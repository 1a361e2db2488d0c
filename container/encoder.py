"""From texts to vectors, as sentence-transformers does it, whichever processor is there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from container.model_config import ModelConfig


class Encoder(ABC):
    """Encodes texts with one model.

    ``device`` and ``runtime`` are words for people: where it runs and by which library.
    ``max_batch_tokens`` bounds a batch, padding included, to what the processor likes best.
    """

    device: str
    runtime: str
    max_batch_tokens: int

    def __init__(self, config: ModelConfig, tokenizer_file: Path, batch_size: int = 64) -> None:
        self.config = config
        self.batch_size = batch_size
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(config.max_seq_length)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns float32 [len(texts), dimension], in the order of ``texts``.

        Any text will do, also an empty one. Longer texts are cut at ``max_seq_length`` tokens.
        Batches hold texts of like length, so that little is spent on padding.
        """
        vectors = np.empty((len(texts), self.config.dimension), dtype=np.float32)
        tokens = self._tokenize(texts)
        # Longest first: should memory not suffice, it is known at once. Stable, so that the same
        # texts always fall into the same batches.
        order = sorted(range(len(tokens)), key=lambda number: -len(tokens[number]))
        start = 0
        while start < len(order):
            length = len(tokens[order[start]])
            size = min(self.batch_size, max(1, self.max_batch_tokens // length))
            batch = order[start : start + size]
            start += size
            ids = np.full((len(batch), length), self.config.pad_token_id, dtype=np.int64)
            mask = np.zeros((len(batch), length), dtype=np.int64)
            for row, number in enumerate(batch):
                ids[row, : len(tokens[number])] = tokens[number]
                mask[row, : len(tokens[number])] = 1
            vectors[batch] = self._forward(ids, mask)
        return vectors

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        if self.config.lower_case:
            texts = [text.lower() for text in texts]
        return [found.ids for found in self._tokenizer.encode_batch_fast(list(texts))]

    @abstractmethod
    def _forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids and mask, [batch, length], to vectors, [batch, dimension]."""
