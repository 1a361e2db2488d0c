"""How far the input was read: what the workflow carries from one invocation to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(slots=True)
class SplitCursor:
    """Where reading goes on, and what was counted before that place.

    Everything that decides how the rest is cut is in here or in the batch, so that an invocation
    which is repeated writes the same objects again, byte for byte.

    Attributes:
        etag, size: of the input: ETag and bytes.
        dimension: numbers in a vector of the model that was deployed when the reading began.
        offset: bytes read.
        line_number: lines begun.
        in_long_line: whether the offset lies within a line that was refused for its length.
        shards, reject_parts: objects written.
        accepted, rejected, blank: lines of each kind.
        done: whether the input has been read to its end.
    """

    etag: str
    size: int
    dimension: int
    offset: int = 0
    line_number: int = 0
    in_long_line: bool = False
    shards: int = 0
    reject_parts: int = 0
    accepted: int = 0
    rejected: int = 0
    blank: int = 0
    done: bool = False

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
