"""The shapes of the answers, from which the OpenAPI document is generated.

What the endpoints answer is read here as well, as far as the callers' answers need it.
"""

from __future__ import annotations

import base64
import re
from array import array
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import BeforeValidator, Field, TypeAdapter

# pydantic reads TypedDicts of Python 3.11 only from typing_extensions.
from typing_extensions import TypedDict

from rest.errors import ErrorAnswer


def _numbers(value: object) -> list[float]:
    return array("f", base64.b64decode(str(value), validate=True)).tolist()


# JSON has no NaN, though Python would read and write it.
Score = Annotated[float, Field(allow_inf_nan=False)]
# From the base64 of little-endian float32.
Numbers = Annotated[list[float], BeforeValidator(_numbers)]
Reason = Literal["throttled", "unavailable", "time_out", "not_found", "model_error"]

_OF_NUMBERS: Final = b"0123456789eE+-.,[] \t\r\n"
_EMBEDDING: Final = re.compile(rb'\s*\{\s*"embedding"\s*:\s*(\[.*\])\s*\}\s*', re.DOTALL)


class FailedOver(TypedDict):
    """An endpoint that was tried and failed."""

    instance_type: str
    reason: Reason


class ServedBy(TypedDict):
    """The endpoint that answered, and those that were tried before."""

    instance_type: str
    failed_over_from: list[FailedOver]


class EmbedAnswer(TypedDict):
    """One embedding for each text, in their order."""

    embeddings: list[list[float]]
    served_by: ServedBy
    request_id: str


class NearestHit(TypedDict):
    """An entry of the caller's corpus (its position, from 0) and its cosine similarity."""

    corpus_id: int
    score: Score


class NearestAnswer(TypedDict):
    """For each query its hits, best first."""

    results: list[list[NearestHit]]
    served_by: ServedBy
    request_id: str


class SearchHit(TypedDict):
    """An entry of the deployed corpus and its score.

    Some entries have no question; if the corpus was baked without its texts, answers are null as
    well. `passage` is the part of a long answer that matched best, without markup; `fields` holds
    what else the corpus says of the entry.
    """

    id: str
    question: str | None
    answer: str | None
    passage: str | None
    fields: dict[str, Any]
    score: Score


class SearchAnswer(TypedDict):
    """For each query its hits, best first, and the bake that the answering endpoint serves."""

    results: list[list[SearchHit]]
    bake_id: str
    served_by: ServedBy
    request_id: str


class HourlyPrice(TypedDict):
    """What an hour of one instance costs, by the price table of that date."""

    amount: float
    currency: str
    as_of: str


class EndpointLine(TypedDict):
    """A deployed endpoint; where its instances do not scale, the two numbers are the same."""

    instance_type: str
    endpoint_name: str
    min_instances: int
    max_instances: int
    hourly_price: HourlyPrice | None


class ModelLine(TypedDict):
    """The deployed JumpStart model."""

    id: str
    version: str
    dimension: int


class CorpusLine(TypedDict):
    """The deployed corpus."""

    sha256: str


class EndpointsAnswer(TypedDict):
    """What is deployed, and whether its endpoints are switched on."""

    endpoints: list[EndpointLine]
    model: ModelLine
    corpus: CorpusLine
    bake_id: str
    serving: Literal["on", "off"]
    request_id: str


class HealthLine(TypedDict):
    """The state of one endpoint, and the bake it serves if it answered."""

    instance_type: str
    status: Literal["ok", "other_bake"] | Reason
    bake_id: NotRequired[str]


class HealthReport(TypedDict):
    """The deployed bake, and a line for each endpoint."""

    bake_id: str
    endpoints: list[HealthLine]


class HealthAnswer(HealthReport):
    """At least one endpoint serves the deployed bake."""

    status: Literal["ok"]
    request_id: str


class UnhealthyAnswer(ErrorAnswer):
    """No endpoint serves the deployed bake; without the lines if that bake is unknown."""

    bake_id: NotRequired[str]
    endpoints: NotRequired[list[HealthLine]]


class EndpointHit(TypedDict):
    """A hit in mode `search`; bakes of earlier versions of this app know no passages or fields."""

    id: str
    question: str | None
    answer: str | None
    passage: NotRequired[str | None]
    fields: NotRequired[dict[str, Any]]
    score: Score


class SearchResults(TypedDict):
    """Mode `search`."""

    results: list[list[EndpointHit]]
    bake_id: str


class QueryVectors(TypedDict):
    """Mode `queries`: the unit vector and the terms of each query, and the bake that made them."""

    bake_id: str
    vectors: list[Numbers]
    terms: list[list[int]]


class Info(TypedDict):
    """Mode `info`."""

    bake_id: str


# The readers raise ValueError for an answer of another shape.
read_info: Final[Callable[[bytes], Info]] = TypeAdapter(Info).validate_json
read_neighbours: Final[Callable[[bytes], list[list[NearestHit]]]] = TypeAdapter(
    list[list[NearestHit]]
).validate_json
read_queries: Final[Callable[[bytes], QueryVectors]] = TypeAdapter(QueryVectors).validate_json
read_results: Final[Callable[[bytes], SearchResults]] = TypeAdapter(SearchResults).validate_json


def read_embeddings(content: bytes, texts: int) -> bytes:
    """The JSON list in `{"embedding": [...]}`, not parsed: it can be megabytes of numbers.

    It has one list for each of `texts`, and nothing else than characters of numbers in them.
    """
    found = _EMBEDDING.fullmatch(content) if content.isascii() else None
    if (
        found is None
        or found[1].translate(None, _OF_NUMBERS)
        or not found[1].count(b"[") == found[1].count(b"]") == texts + 1
    ):
        raise ValueError("This is not a list of embeddings.")
    return found[1]
