"""What the endpoints answer, read as far as the callers' answers need it.

The readers raise ValueError for an answer of another shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from front_door.answers import NearestHit, SearchResults

_EMBEDDING: Final = re.compile(rb'\s*\{\s*"embedding"\s*:\s*(\[.*\])\s*\}\s*', re.DOTALL)


class Info(TypedDict):
    """Mode `info`."""

    bake_id: str


read_info: Final[Callable[[bytes], Info]] = TypeAdapter(Info).validate_json
read_neighbours: Final[Callable[[bytes], list[list[NearestHit]]]] = TypeAdapter(
    list[list[NearestHit]]
).validate_json
read_results: Final[Callable[[bytes], SearchResults]] = TypeAdapter(SearchResults).validate_json


def read_embeddings(content: bytes) -> bytes:
    """The JSON list in `{"embedding": [...]}`, not parsed: it can be megabytes of numbers."""
    found = _EMBEDDING.fullmatch(content) if content.isascii() else None
    if found is None:
        raise ValueError("This is not a list of embeddings.")
    return found[1]
