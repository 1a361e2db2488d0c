"""Scores the nearest vectors of an index of S3 Vectors as an endpoint scores its entries.

Only those that the index found are compared, so how rare a word is follows from them, too.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import mul
from typing import Any, Final, NotRequired

from pydantic import TypeAdapter

# pydantic reads TypedDicts of Python 3.11 only from typing_extensions.
from typing_extensions import TypedDict

from contract import vector_index
from front_door.answers import EndpointHit

# As in container/search/lexical.py and container/search/index.py.
_K1, _B = 1.2, 0.75
_LEXICAL_SHARE: Final = 1 / 3
_SCALES: Final = struct.Struct("<2f")
_DIGITS: Final = 7


class Metadata(TypedDict):
    """What is stored beside a vector; see contract.vector_index."""

    questions: NotRequired[list[str]]
    answer: str
    fields: NotRequired[str]
    passage: NotRequired[str]
    terms: str
    length: NotRequired[float]
    views: NotRequired[str]


class Neighbour(TypedDict):
    """One vector of QueryVectors' answer."""

    key: str
    distance: float
    metadata: Metadata


read_neighbours: Final[Callable[[object], list[Neighbour]]] = TypeAdapter(
    list[Neighbour]
).validate_python
"""Raises ValueError for vectors of another form."""


def _product(numbers: Sequence[float], others: Sequence[float]) -> float:
    return float(sum(map(mul, numbers, others)))


# Of Python 3.13, some times as fast.
_sum_product: Final[Callable[[Sequence[float], Sequence[float]], float]] = getattr(
    math, "sumprod", _product
)


def hits(
    found: Sequence[Neighbour], query: Sequence[float], terms: Sequence[int], *, lexical: bool
) -> list[EndpointHit]:
    """The entries among the found vectors, each once, and each answer once, best first.

    Args:
        query: the query's vector, of unit length.
        terms: the query's terms, each once.
        lexical: whether shared words count.
    """
    words = _lexical_scores(found, terms) if lexical else None
    scored = []
    for neighbour in found:
        score = vector_score(neighbour, query)
        if words is not None:
            score += _LEXICAL_SHARE * (words[_entry_id(neighbour)] - score)
        scored.append((score, neighbour))
    scored.sort(key=lambda each: -each[0])
    first: dict[str, tuple[float, Neighbour]] = {}
    answers: set[str] = set()
    for score, neighbour in scored:
        entry, answer = _entry_id(neighbour), neighbour["metadata"]["answer"].strip()
        if entry not in first and answer not in answers:
            first[entry] = (score, neighbour)
            answers.add(answer)
    return [_hit(entry, score, each["metadata"]) for entry, (score, each) in first.items()]


def vector_score(neighbour: Neighbour, query: Sequence[float]) -> float:
    """Half of the best and half of the mean of the cosines to an entry's views."""
    cosine = 1 - neighbour["distance"]
    metadata = neighbour["metadata"]
    stored = metadata.get("views")
    if stored is None:
        return cosine
    views = base64.b64decode(stored)
    scales = _SCALES.unpack_from(views)
    numbers, dimension = array("b", views[_SCALES.size :]), len(query)
    question = scales[0] * _sum_product(query, numbers[:dimension])
    answer = scales[1] * _sum_product(query, numbers[dimension:])
    mean = cosine * metadata.get("length", 1)
    best: float = max(question, answer, 3 * mean - question - answer)
    return (best + mean) / 2


def _lexical_scores(found: Sequence[Neighbour], terms: Sequence[int]) -> dict[str, float]:
    """BM25 of each entry, divided by what one with nothing but the query's terms could reach."""
    counts: dict[str, Mapping[int, int]] = {}
    lengths: dict[str, int] = {}
    for neighbour in found:
        entry = _entry_id(neighbour)
        if entry not in counts:
            stored = array("I", base64.b64decode(neighbour["metadata"]["terms"]))
            by_term = {number >> 8: number & 0xFF for number in stored}
            lengths[entry] = sum(by_term.values())
            counts[entry] = {term: by_term[term] for term in terms if term in by_term}
    entries = len(counts)
    average = max(sum(lengths.values()) / max(entries, 1), 1e-9)
    found_in = Counter(term for each in counts.values() for term in each)
    idf = {
        term: math.log(1 + (entries - found_in[term] + 0.5) / (found_in[term] + 0.5))
        for term in terms
    }
    perfect = sum(idf.values()) or 1
    return {
        entry: sum(
            idf[term] * count / (count + _K1 * (1 - _B + _B * lengths[entry] / average))
            for term, count in each.items()
        )
        / perfect
        for entry, each in counts.items()
    }


def _entry_id(neighbour: Neighbour) -> str:
    return vector_index.entry_id_of_key(neighbour["key"])


def _hit(entry_id: str, score: float, metadata: Metadata) -> EndpointHit:
    fields: dict[str, Any] = json.loads(metadata.get("fields", "{}"))
    return {
        "id": entry_id,
        "question": next(iter(metadata.get("questions", ())), None),
        "answer": metadata["answer"],
        "passage": metadata.get("passage"),
        "fields": fields,
        "score": round(score, _DIGITS),
    }
