"""The API's requests: what each sends, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from faq_search.results import (
    BatchState,
    Deployment,
    Embeddings,
    Endpoint,
    Health,
    HealthLine,
    Hit,
    Nearest,
    NearestHit,
    SearchResults,
    ServedBy,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its JSON object, and `Server-Timing` in milliseconds."""

    answer: Mapping[str, Any]
    timing: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and how to read its answer.

    answers: whether an error is an answer all the same, to be read and not to be raised.
    """

    method: str
    path: str
    body: Mapping[str, object] | None
    read: Callable[[Reply], T]
    answers: Callable[[Mapping[str, Any]], bool] = lambda _: False


def embed(texts: Sequence[str], instance_type: str | None) -> Call[Embeddings]:
    """See FaqSearch.embed."""
    return _ask(
        "/embed",
        instance_type,
        {"texts": list(texts)},
        lambda reply: Embeddings(reply.answer["embeddings"], **_answered(reply)),
    )


def nearest(
    corpus: Sequence[str], queries: Sequence[str], top_k: int, instance_type: str | None
) -> Call[Nearest]:
    """See FaqSearch.nearest."""
    return _ask(
        "/nearest",
        instance_type,
        {"corpus": list(corpus), "queries": list(queries), "top_k": top_k},
        lambda reply: Nearest(
            [
                [NearestHit(hit["corpus_id"], hit["score"]) for hit in hits]
                for hits in reply.answer["results"]
            ],
            **_answered(reply),
        ),
    )


def search(
    queries: Sequence[str], top_k: int, instance_type: str | None, **given: object
) -> Call[SearchResults]:
    """See FaqSearch.search; `given` holds the other fields, None where they are not."""
    return _ask(
        "/search",
        instance_type,
        {
            "queries": list(queries),
            "top_k": top_k,
            **{name: value for name, value in given.items() if value is not None},
        },
        lambda reply: SearchResults(
            [[Hit.from_json(hit) for hit in hits] for hits in reply.answer["results"]],
            reply.answer["bake_id"],
            **_answered(reply),
        ),
    )


def endpoints() -> Call[Deployment]:
    """See FaqSearch.endpoints."""

    def read(reply: Reply) -> Deployment:
        answer = reply.answer
        return Deployment(
            tuple(Endpoint(e["instance_type"], e["endpoint_name"]) for e in answer["endpoints"]),
            answer["model"]["id"],
            answer["model"]["version"],
            answer["model"]["dimension"],
            answer["corpus"]["sha256"],
            answer["bake_id"],
            answer["serving"],
            answer["request_id"],
        )

    return Call("GET", "/endpoints", None, read)


def health() -> Call[Health]:
    """See FaqSearch.health."""

    def read(reply: Reply) -> Health:
        answer = reply.answer
        return Health(
            answer.get("status") == "ok",
            answer.get("code") == "serving_off",
            answer["bake_id"],
            tuple(
                HealthLine(line["instance_type"], line["status"], line.get("bake_id"))
                for line in answer["endpoints"]
            ),
            answer["request_id"],
        )

    return Call("GET", "/health", None, read, lambda answer: "endpoints" in answer)


def new_batch(body: Mapping[str, object]) -> Call[Mapping[str, Any]]:
    """Starts a batch, or asks where to upload its file; the whole answer."""
    return Call("POST", "/batch", body, lambda reply: reply.answer)


def batch_state(batch_id: str, *, stop: bool = False) -> Call[BatchState]:
    """The state of a batch, which it may stop before."""
    return Call(
        "DELETE" if stop else "GET",
        f"/batch/{quote(batch_id, safe='')}",
        None,
        lambda reply: BatchState.from_json(reply.answer),
    )


def _ask(
    path: str, instance_type: str | None, body: Mapping[str, object], read: Callable[[Reply], T]
) -> Call[T]:
    chosen = {} if instance_type is None else {"instance_type": instance_type}
    return Call("POST", path, {**body, **chosen}, read)


class _Answered(TypedDict):
    served_by: ServedBy
    request_id: str
    timing: Mapping[str, float]


def _answered(reply: Reply) -> _Answered:
    """The fields of `Answered`."""
    return {
        "served_by": ServedBy.from_json(reply.answer["served_by"]),
        "request_id": reply.answer["request_id"],
        "timing": reply.timing,
    }
