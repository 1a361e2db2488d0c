"""From texts to vectors, as sentence-transformers does it, on any processor."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from container.encoder.model_config import ModelConfig, Precision
from container.errors import ExpiredError

# A text's token ids, special tokens included.
Tokens = Sequence[int] | NDArray[np.int32]
# Megabytes of texts take a second or two.
_TOKENIZED_AT_ONCE = 1_000


class TextEncoder(ABC):
    """Encodes texts with one model, in this process or another.

    `device` and `runtime` tell people where the model runs and by which library. `deadline`, by
    `time.monotonic`, is when nobody waits for the vectors any longer; whoever answers a request
    sets it.
    """

    device: str
    runtime: str
    deadline: float = math.inf

    def __init__(self, config: ModelConfig, tokenizer_file: Path) -> None:
        self.config = config
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(config.max_seq_length)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns float32 [len(texts), dimension], in the order of `texts`.

        Takes any text, even an empty one. Longer texts are cut at `max_seq_length` tokens. Raises
        ExpiredError once `deadline` has passed.
        """
        return self.encode_tokens(self.tokenize(texts))

    def large_request(self) -> AbstractContextManager[None]:
        """To be held while a large request is answered; see `RemoteEncoder`."""
        return nullcontext()

    def check_time(self) -> None:
        """Raises ExpiredError once `deadline` has passed."""
        if time.monotonic() >= self.deadline:
            raise ExpiredError

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text; every text has some."""
        ids: list[list[int]] = []
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
            self.check_time()
            some = list(texts[start : start + _TOKENIZED_AT_ONCE])
            if self.config.lower_case:
                some = [text.lower() for text in some]
            ids += [found.ids for found in self._tokenizer.encode_batch_fast(some)]
        return ids

    @abstractmethod
    def encode_tokens(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """As `encode`, but takes token ids."""


class Encoder(TextEncoder):
    """The model in this process.

    `precision` is what it computes in; the vectors are always float32. `max_batch_tokens` bounds a
    batch, padding included, at the size that suits the processor best.
    """

    precision: Precision
    max_batch_tokens: int

    def __init__(self, config: ModelConfig, tokenizer_file: Path, batch_size: int = 64) -> None:
        super().__init__(config, tokenizer_file)
        self.batch_size = batch_size

    def encode_tokens(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """Batches texts of similar length, so that little time goes into padding."""
        vectors = np.empty((len(tokens), self.config.dimension), dtype=np.float32)
        order = longest_first(tokens)
        start = 0
        while start < len(order):
            self.check_time()
            batch = order[start : start + self.batch_capacity(len(tokens[order[start]]))]
            vectors[batch] = self.forward([tokens[number] for number in batch])
            start += len(batch)
        return vectors

    def batch_capacity(self, length: int) -> int:
        """How many texts fit a batch whose longest text has `length` tokens."""
        return min(self.batch_size, max(1, self.max_batch_tokens // length))

    @staticmethod
    def precisions() -> tuple[Precision, ...]:
        """What it computes in on this processor."""
        return ("fp32",)

    @abstractmethod
    def forward(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """One batch: float32 [len(tokens), dimension]."""


def longest_first(tokens: Sequence[Tokens]) -> list[int]:
    """The order in which texts are encoded.

    Longest first, so that a lack of memory shows at once. Stable, so that the same texts always
    form the same batches.
    """
    return sorted(range(len(tokens)), key=lambda number: -len(tokens[number]))
