"""`POST /search` where the corpus is in an index of S3 Vectors."""

from __future__ import annotations

import base64
import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from contract.vector_index import VectorIndex
from front_door import index_search, routes
from tests.support.front_door import INDEX_PARAMETER, Context, FrontDoor, Reply, event, front_door

INDEX = VectorIndex("i" * 40, "vectors", "bake-1", "5ha", "hybrid", 2, 3, 4)
R, PRICE = 7, 8


@pytest.fixture(scope="module")
def loaded() -> Iterator[FrontDoor]:
    with front_door(INDEX_PARAMETER=INDEX_PARAMETER) as door:
        yield door


@pytest.fixture
def door(loaded: FrontDoor) -> FrontDoor:
    door = loaded.reset()
    door.aws.ssm.index = INDEX.to_json()
    door.aws.reply("faq-c6i", embedded)
    door.aws.found = found(vector("0/a", 0.1), vector("0/b", 0.4, "B."))
    return door


def embedded(question: dict[str, Any], bake_id: str = "bake-1") -> Reply:
    """Each query points along the first axis; its terms are R and PRICE."""
    one = base64.b64encode(struct.pack("<2f", 1, 0)).decode()
    answer = {
        "bake_id": bake_id,
        "vectors": [one for _ in question["queries"]],
        "terms": [[R, PRICE] for _ in question["queries"]],
    }
    return Reply(json.dumps(answer).encode())


def vector(key: str, distance: float, answer: str = "A.", **more: Any) -> dict[str, Any]:
    terms = base64.b64encode(struct.pack("<2I", 1 << 8 | 1, 2 << 8 | 1)).decode()
    return {
        "key": key,
        "distance": distance,
        "metadata": {"answer": answer, "terms": terms, **more},
    }


def found(*vectors: dict[str, Any]) -> Any:
    return lambda _: {"vectors": list(vectors), "distanceMetric": "cosine"}


def ask(**more: Any) -> dict[str, Any]:
    return event("/search", {"queries": ["Is R supported?"], **more})


def test_the_index_answers_what_the_endpoint_embeds(door: FrontDoor) -> None:
    more = {"questions": ["Q?", "Or?"], "fields": '{"url":"u"}', "passage": "part"}
    door.aws.found = found(vector("1/a/b", 0.1, "A.", **more), vector("0/b", 0.4, "B."))
    status, answer = door.call(ask(top_k=5))
    assert (status, answer["bake_id"]) == (200, INDEX.index_id)
    assert answer["served_by"] == {"instance_type": "ml.c6i.xlarge", "failed_over_from": []}
    first, second = answer["results"][0]
    assert first == {
        **{"id": "a/b", "question": "Q?", "answer": "A.", "passage": "part"},
        **{"fields": {"url": "u"}, "score": pytest.approx(0.6)},
    }
    assert second == {
        **{"id": "b", "question": None, "answer": "B.", "passage": None},
        **{"fields": {}, "score": pytest.approx(0.4)},
    }
    assert door.aws.asked == [
        (
            "faq-c6i",
            {"mode": "queries", "queries": ["Is R supported?"], "request_id": "request-1"},
        )
    ]
    assert door.aws.queries == [
        {
            **{"vectorBucketName": "vectors", "indexName": INDEX.index_id, "topK": 100},
            **{"queryVector": {"float32": [1.0, 0.0]}},
            **{"returnMetadata": True, "returnDistance": True},
        }
    ]


def test_an_entry_and_an_answer_come_once(door: FrontDoor) -> None:
    same = [vector("0/a", 0.3), vector("2/a", 0.1), vector("0/c", 0.2, " A. ")]
    door.aws.found = found(*same, vector("0/b", 0.5, "B."))
    _, answer = door.call(ask())
    assert [hit["id"] for hit in answer["results"][0]] == ["a", "b"]
    assert answer["results"][0][0]["score"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("x", {"category": {"$eq": "x"}}),
        (["x", "y"], {"$or": [{"category": {"$eq": "x"}}, {"category": {"$eq": "y"}}]}),
    ],
)
def test_categories_filter(door: FrontDoor, category: object, expected: object) -> None:
    assert door.call(ask(category=category))[0] == 200
    assert door.aws.queries[0]["filter"] == expected


def test_all_pages_count(door: FrontDoor) -> None:
    def pages(question: dict[str, Any]) -> dict[str, Any]:
        if "nextToken" in question:
            return {"vectors": [vector("0/b", 0.4, "B.")], "distanceMetric": "cosine"}
        return {"vectors": [vector("0/a", 0.1)], "distanceMetric": "cosine", "nextToken": "more"}

    door.aws.found = pages
    assert len(door.call(ask())[1]["results"][0]) == 2


def test_queries_are_asked_side_by_side(door: FrontDoor) -> None:
    together = threading.Barrier(10)

    def meet(_: object) -> dict[str, Any]:
        together.wait(10)
        return {"vectors": [], "distanceMetric": "cosine"}

    door.aws.found = meet
    status, answer = door.call(event("/search", {"queries": ["x"] * 20}))
    assert (status, answer["results"]) == (200, [[]] * 20)


def test_limits_of_the_answer_apply(door: FrontDoor) -> None:
    assert [hit["id"] for hit in door.call(ask(top_k=1))[1]["results"][0]] == ["a"]
    assert [hit["id"] for hit in door.call(ask(min_score=0.5))[1]["results"][0]] == ["a"]
    assert door.call(ask(margin=0.3))[1]["results"] == [[]]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"queries": ["x"] * 101}, "queries"), ({"queries": ["x"], "top_k": 101}, "top_k")],
)
def test_more_than_the_index_takes_is_refused(
    door: FrontDoor, body: dict[str, Any], field: str
) -> None:
    status, answer = door.call(event("/search", body))
    assert (status, answer["code"], answer["field"]) == (400, "invalid_request", field)
    assert "at most 100" in answer["message"]
    assert not door.aws.asked


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.error(429, "TooManyRequestsException"), "throttled"),
        (Reply.error(404, "NotFoundException"), "index_unavailable"),
        (Reply.error(403, "AccessDeniedException"), "index_unavailable"),
        (Reply.error(503, "ServiceUnavailableException"), "index_unavailable"),
        (Reply(b'{"vectors":[{"key":"0/a"}],"distanceMetric":"cosine"}'), "index_unavailable"),
        (Reply(hang_up=True), "index_unavailable"),
    ],
)
def test_an_index_that_fails(door: FrontDoor, reply: Reply, code: str) -> None:
    door.aws.found = lambda _: reply
    _, answer = door.call(ask())
    assert answer["code"] == code
    assert "index" in answer["message"]


def test_an_index_that_hangs(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_search, "_MOST_SECONDS", 0.2)
    door.aws.found = lambda _: Reply(silent_seconds=1)
    status, answer = door.call(ask())
    assert (status, answer["code"]) == (504, "time_out")


def test_time_is_kept_for_the_index(door: FrontDoor) -> None:
    status, answer = door.call(ask(), Context(remaining_ms=5_000))
    assert (status, answer["code"]) == (504, "time_out")
    assert not door.aws.asked


@pytest.mark.parametrize("index", [Reply.error(400, "ParameterNotFound"), "no index"])
def test_without_an_index_there_is_no_answer(door: FrontDoor, index: str | Reply) -> None:
    door.aws.ssm.index = index
    status, answer = door.call(ask())
    assert (status, answer["code"]) == (503, "index_unavailable")
    assert "not loaded yet" in answer["message"]
    status, answer = door.call(event("/endpoints", method="GET"))
    assert (status, answer["corpus"]) == (200, {"sha256": "c0ffee"})
    door.aws.ssm.index = INDEX.to_json()
    assert door.call(ask())[0] == 200


def test_what_another_artifact_embeds_is_not_compared(door: FrontDoor) -> None:
    for reply in (
        lambda question: embedded(question, "bake-2"),
        Reply.error(
            424,
            "ModelError",
            OriginalStatusCode=400,
            OriginalMessage='invalid_request: mode is "queries"; allowed are search',
        ),
    ):
        door.aws.reply("faq-c6i", reply)
        status, answer = door.call(ask())
        assert (status, answer["code"]) == (503, "index_unavailable")
        assert "another model" in answer["message"]
    assert not door.aws.queries


def test_a_malformed_embedding_fails_over(door: FrontDoor) -> None:
    door.aws.reply("faq-c6i", Reply(b'{"bake_id":"bake-1","vectors":["*"],"terms":[[]]}'))
    door.aws.reply("faq-g5", embedded)
    status, answer = door.call(ask())
    assert (status, answer["served_by"]["instance_type"]) == (200, "ml.g5.2xlarge")


def test_endpoints_name_the_corpus_of_the_index(door: FrontDoor) -> None:
    _, answer = door.call(event("/endpoints", method="GET"))
    assert answer["corpus"] == {"sha256": INDEX.corpus_sha256}
    assert answer["bake_id"] == "bake-1"


def test_the_wait_for_the_index_is_told_apart(door: FrontDoor) -> None:
    headers = door.handler.handler(ask(), Context())["multiValueHeaders"]
    assert "index;dur=" in headers["Server-Timing"][0]


def test_a_new_index_is_asked_once_it_is_read(door: FrontDoor) -> None:
    door.call(ask())
    door.aws.ssm.index = replace(INDEX, index_id="j" * 40).to_json()
    routes.app.connect(door.handler.environment, door.handler.aws)
    assert door.call(ask())[1]["bake_id"] == "j" * 40
