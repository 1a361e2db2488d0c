"""Counts answers without parsing them: they are many gigabytes, and all alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# As the container writes them. Within a string the quotes would be escaped, so these are keys.
_EMBEDDED = b'"embedding":['
_FAILED = b'"error":"'
_OVERLAP = max(len(_EMBEDDED), len(_FAILED)) - 1


class AnswerCount(NamedTuple):
    """Records with a vector, and records with an error instead."""

    embedded: int
    failed: int


def count_answers(chunks: Iterable[bytes]) -> AnswerCount:
    """Count the records of one output."""
    embedded = failed = 0
    end = b""
    for chunk in chunks:
        # A key may lie across two chunks; one that lies before was counted.
        seen = end + chunk
        embedded += seen.count(_EMBEDDED) - end.count(_EMBEDDED)
        failed += seen.count(_FAILED) - end.count(_FAILED)
        end = seen[-_OVERLAP:]
    return AnswerCount(embedded, failed)
