"""Cuts texts that are longer than the model reads into overlapping passages."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from container.encoder.model_config import ModelConfig

# Tokens that two neighbouring passages share.
OVERLAP = 50
# Beside a question that leaves less room than this share, an answer is only cut off.
LEAST_SHARE = 0.5
# A passage starts at most this many letters earlier, where its first word does.
MOST_LETTERS = 30


class Passages:
    """Finds the passages of texts for one model."""

    def __init__(self, tokenizer_file: Path, config: ModelConfig) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._limit = config.max_seq_length
        self._room = self._limit - self._tokenizer.num_special_tokens_to_add(False)

    def may_be_cut(self, tokens: list[int]) -> bool:
        """Whether a text with these tokens was perhaps longer; `find` knows for sure."""
        return len(tokens) >= self._limit

    def find(self, before: str, text: str) -> list[tuple[int, int]]:
        """Start and end of each passage of `text` that fits the model together with `before`.

        The first one is what the model reads if it is given both. Empty if it reads all of the
        text, or if `before` leaves too little room.
        """
        room = self._room
        if before:
            room -= len(self._tokenizer.encode(before, add_special_tokens=False).ids)
        step = room - OVERLAP
        if room < LEAST_SHARE * self._room or step < OVERLAP:
            return []
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= room:
            return []
        return [
            (_word_start(text, offsets[first][0]), offsets[min(first + room, len(offsets)) - 1][1])
            for first in range(0, len(offsets) - OVERLAP, step)
        ]


def _word_start(text: str, place: int) -> int:
    start = place
    while start and place - start < MOST_LETTERS and text[start - 1].isalnum():
        if not text[start].isalnum():
            break
        start -= 1
    return start if place - start < MOST_LETTERS else place
