"""What AWS's walk-through measured: mean latency of 100 requests with the same batch, ms.

AWS's figures are for its own containers on its own instances, called from a notebook in AWS's
network; batch and texts are not all known. They stand beside ours for orientation, not as a race.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SOURCE: Final = (
    "AWS's walk-through for JumpStart text embeddings: mean latency of 100 requests with the same"
    " batch, its own containers, on the instances named"
)


@dataclass(frozen=True)
class Published:
    """Mean milliseconds of a model: embedding a batch, and nearest neighbours."""

    embed_g5: float
    embed_c6i: float
    nearest_g5: float
    nearest_c6i: float


MODELS: Final = {
    "all-MiniLM-L6-v2": Published(19.5, 27.9, 21.7, 69.1),
    "bge-base-en": Published(21.2, 114, 29.1, 372),
    "bge-small-en": Published(28.3, 45.6, 29.2, 124),
    "bge-large-en": Published(34.7, 337, 47.2, 1240),
    "multilingual-e5-base": Published(22.1, 118, 30, 389),
    "multilingual-e5-large": Published(39.8, 360, 47.1, 1380),
    "e5-base": Published(25.6, 117, 30.4, 373),
    "e5-base-v2": Published(25.2, 123, 31, 409),
    "e5-large": Published(32.2, 339, 45.9, 1230),
    "e5-large-v2": Published(32.5, 331, 49.6, 1220),
    "gte-base": Published(22.2, 112, 30.3, 375),
    "gte-small": Published(19.7, 46, 28.5, 129),
    "gte-large": Published(39.7, 347, 46.6, 1320),
}


def published_for(model_id: str) -> Published | None:
    """The walk-through's row of a JumpStart model, None where it has none."""
    return MODELS.get(model_id.removeprefix("huggingface-sentencesimilarity-"))
