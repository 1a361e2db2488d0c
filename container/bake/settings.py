"""The bake's settings, from the training job's hyperparameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from container.encoder.model_config import PRECISIONS, Precision
from container.errors import BakeError
from container.search.views import RANKINGS, Ranking

MAX_BATCH_SIZE = 4096
MAX_PREFIX = 1000


@dataclass(frozen=True, slots=True)
class BakeSettings:
    """What to bake.

    `max_seq_length` `None` means the model's own. `corpus_sha256` `None` means that the artifact
    gets no corpus: it embeds texts, and entries for an index elsewhere. `ranking` says which views
    of an entry are embedded. `raw` holds the hyperparameters as given.
    """

    bake_id: str
    model_id: str
    model_version: str
    dimension: int
    batch_size: int
    max_seq_length: int | None
    store_text: bool
    ranking: Ranking
    corpus_sha256: str | None
    query_prefix: str
    passage_prefix: str
    precision: Precision
    raw: Mapping[str, str]

    @classmethod
    def read(cls, file: Path) -> BakeSettings:
        """Reads SageMaker's hyperparameters.json; raises a BakeError that names every error."""
        try:
            raw = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BakeError(f"The hyperparameters cannot be read: {error}.") from error
        if not isinstance(raw, dict):
            raise BakeError("The hyperparameters are not a JSON object.")
        return _Reader({str(key): str(value) for key, value in raw.items()}).settings()


class _Reader:
    """Reads one value after another and collects the errors."""

    def __init__(self, raw: Mapping[str, str]) -> None:
        self.raw = raw
        self.errors: list[str] = []

    def settings(self) -> BakeSettings:
        length = self.raw.get("max_seq_length", "None")
        settings = BakeSettings(
            bake_id=self._text("bake_id"),
            model_id=self._text("model_id"),
            model_version=self._text("model_version"),
            dimension=self._number("dimension", 1, 65_536),
            batch_size=self._number("batch_size", 1, MAX_BATCH_SIZE, "64"),
            max_seq_length=(
                None if length == "None" else self._number("max_seq_length", 3, 1_000_000)
            ),
            store_text=self._choice("store_text", ("true", "false"), "true") == "true",
            ranking=cast(Ranking, self._choice("ranking", RANKINGS, "hybrid")),
            corpus_sha256=self.raw.get("corpus_sha256"),
            query_prefix=self._prefix("query_prefix"),
            passage_prefix=self._prefix("passage_prefix"),
            precision=cast(Precision, self._choice("precision", PRECISIONS, "fp32")),
            raw=self.raw,
        )
        if self.errors:
            raise BakeError("The hyperparameters are wrong: " + "; ".join(self.errors) + ".")
        return settings

    def _text(self, name: str) -> str:
        value = self.raw.get(name, "")
        if not value:
            self.errors.append(f"{name} is missing")
        return value

    def _number(self, name: str, least: int, most: int, default: str | None = None) -> int:
        value = self.raw.get(name, default)
        if value is None:
            self.errors.append(f"{name} is missing")
        elif not (value.isascii() and value.isdigit() and least <= int(value[:20]) <= most):
            self.errors.append(
                f"{name} is {value!r}; allowed is a whole number from {least} to {most}"
            )
        else:
            return int(value)
        return least

    def _choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.raw.get(name, default)
        if value not in allowed:
            self.errors.append(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
        return value

    def _prefix(self, name: str) -> str:
        value = self.raw.get(name, "")
        if len(value) > MAX_PREFIX:
            self.errors.append(f"{name} has {len(value)} characters; allowed are {MAX_PREFIX}")
        return value
