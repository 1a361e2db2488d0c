"""The REST API's answers: shapes, limits, errors, and what is logged."""

from __future__ import annotations

import base64
import json

import pytest
from pydantic import TypeAdapter

from front_door import answers, routes
from rest.errors import ErrorAnswer
from tests.support.front_door import (
    DEPLOYMENT,
    ENDPOINTS,
    Context,
    Reply,
    event,
)

SERVED = {"instance_type": "ml.c6i.xlarge", "failed_over_from": []}
HITS = [
    [
        {
            "score": 0.9,
            "id": "7",
            "question": None,
            "answer": 'Yes, "R" и 🦜.',
            "passage": '"R" и 🦜',
            "fields": {"url": "https://x", "tags": [1, None]},
        },
        {
            "score": 0.2,
            "id": "1",
            "question": "Why?",
            "answer": "So.",
            "passage": None,
            "fields": {},
        },
    ]
]


def answers_with(body):
    return Reply(json.dumps(body).encode())


def found(hits):
    """An endpoint's answer to mode search; its bake is another than SSM's."""
    return answers_with({"bake_id": "bake-2", "results": hits})


def test_embed_passes_the_numbers_on_as_they_are(door):
    door.aws.reply("faq-c6i", Reply(b' {"embedding" : [[0.1, -2e-05], [1.0, 0]]}\n'))
    status, answer = door.call(event("/embed", {"texts": ["How cute!", "Ёлка 🎄"]}))
    assert status == 200
    assert answer == {
        "embeddings": [[0.1, -2e-05], [1.0, 0]],
        "served_by": SERVED,
        "request_id": "request-1",
    }
    assert door.aws.asked == [
        (
            "faq-c6i",
            {
                "mode": "embedding",
                "text_inputs": ["How cute!", "Ёлка 🎄"],
                "request_id": "request-1",
            },
        )
    ]
    assert "Ёлка 🎄".encode() in door.aws.raw[0], "escapes would triple the body"
    [request] = door.aws.invocations
    assert request["Accept"] == "application/json"
    assert request["ContentType"].startswith("application/json; deadline=")


def test_nearest(door):
    hits = [[{"corpus_id": 1, "score": 0.5}]]
    door.aws.reply("faq-c6i", answers_with(hits))
    status, answer = door.call(
        event("/nearest", {"corpus": ["a", "b"], "queries": ["c"], "top_k": 1})
    )
    assert (status, answer["results"], answer["served_by"]) == (200, hits, SERVED)
    assert door.aws.asked[0][1] == {
        "mode": "nn_corpus",
        "corpus": ["a", "b"],
        "queries": ["c"],
        "top_k": 1,
        "request_id": "request-1",
    }


@pytest.mark.parametrize("min_score", [{}, {"min_score": 0}])
def test_search_names_the_bake_that_answered(door, min_score):
    door.aws.reply("faq-c6i", found(HITS))
    status, answer = door.call(event("/search", {"queries": ["Is R supported?"], **min_score}))
    assert status == 200
    assert answer == {
        "bake_id": "bake-2",
        "results": HITS,
        "served_by": SERVED,
        "request_id": "request-1",
    }
    assert door.aws.asked[0][1] == {
        "mode": "search",
        "queries": ["Is R supported?"],
        "top_k": 3,
        "request_id": "request-1",
    }
    assert door.aws.ssm.reads == 0, "what SSM says of the bake may lag behind"


def test_search_passes_on_entries_without_texts(door):
    without = [[{"id": "7", "question": None, "answer": None, "score": 0.9}]]
    door.aws.reply("faq-c6i", found(without))
    status, answer = door.call(event("/search", {"queries": ["?"]}))
    assert (status, answer["results"]) == (200, [[without[0][0] | {"passage": None, "fields": {}}]])
    TypeAdapter(answers.SearchAnswer).validate_python(answer, strict=True)


def test_a_whole_number_may_be_written_with_a_point(door):
    door.aws.reply("faq-c6i", found(HITS))
    assert door.call(event(body='{"queries": ["?"], "top_k": 2.0}'))[0] == 200
    assert door.aws.asked[0][1]["top_k"] == 2


@pytest.mark.parametrize(("min_score", "ids"), [(0.5, ["7"]), (0.2, ["7", "1"]), (1, [])])
def test_search_leaves_out_hits_below_min_score(door, min_score, ids):
    door.aws.reply("faq-c6i", found(HITS))
    _, answer = door.call(event("/search", {"queries": ["?"], "min_score": min_score}))
    assert [hit["id"] for hit in answer["results"][0]] == ids


@pytest.mark.parametrize(("margin", "kept"), [(0, 2), (0.3, 2), (0.31, 0)])
def test_search_withholds_an_answer_that_is_not_ahead(door, margin, kept):
    """Of the next hit with another question."""
    scores = [(0.8, "Why?"), (0.7, "Why?"), (0.5, "When?")]
    hits = [HITS[0][1] | {"score": score, "question": question} for score, question in scores]
    door.aws.reply("faq-c6i", found([hits]))
    body = {"queries": ["?"], "margin": margin, "top_k": 2}
    _, answer = door.call(event("/search", body))
    assert [hit["score"] for hit in answer["results"][0]] == [0.8, 0.7][:kept]
    assert door.aws.asked[0][1]["top_k"] == (10 if margin else 2)


def test_a_lone_hit_is_ahead(door):
    door.aws.reply("faq-c6i", found([HITS[0][:1], []]))
    _, answer = door.call(event("/search", {"queries": ["?", "!"], "margin": 1}))
    assert [len(hits) for hits in answer["results"]] == [1, 0]


@pytest.mark.parametrize("queries", [150, 900])
def test_the_margin_asks_for_no_more_hits_than_an_answer_holds(door, queries):
    door.aws.reply("faq-c6i", found([]))
    door.call(event("/search", {"queries": ["?"] * queries, "margin": 0.1, "top_k": 1}))
    assert door.aws.asked[0][1]["top_k"] == {150: 10, 900: 2}[queries]


@pytest.mark.parametrize("category", ["Billing", ["Billing", "R"]])
def test_search_passes_the_categories_on(door, category):
    door.aws.reply("faq-c6i", found(HITS))
    status, _ = door.call(event("/search", {"queries": ["?"], "category": category}))
    assert status == 200
    assert door.aws.asked[0][1]["category"] == ([category] if category == "Billing" else category)


def test_the_settings_decide_where_the_request_does_not(door):
    stage = {"min_score": 0.5, "margin": 0.8, "lexical": False}
    app = door.handler.app
    app.environment = door.handler.environment.model_copy(update=stage)
    for reply in (found(HITS), found(HITS)):
        door.aws.reply("faq-c6i", reply)
    _, answer = door.call(event("/search", {"queries": ["?"]}))
    assert answer["results"] == [[]], "0.7 ahead"
    assert door.aws.asked[0][1]["lexical"] is False
    _, answer = door.call(event("/search", {"queries": ["?"], "margin": 0, "min_score": 0.1}))
    assert [hit["id"] for hit in answer["results"][0]] == ["7", "1"]


def test_search_by_default_keeps_a_score_that_rounding_took_below_minus_one(door):
    door.aws.reply("faq-c6i", found([[HITS[0][0] | {"score": -1.0000001}]]))
    _, answer = door.call(event("/search", {"queries": ["?"]}))
    assert len(answer["results"][0]) == 1


def test_endpoints(door):
    status, answer = door.call(event("/endpoints", method="GET", content_type=None))
    assert status == 200
    assert answer == {
        "endpoints": ENDPOINTS,
        "model": {
            "id": DEPLOYMENT["model_id"],
            "version": DEPLOYMENT["model_version"],
            "dimension": 384,
        },
        "corpus": {"sha256": "c0ffee"},
        "bake_id": "bake-1",
        "serving": "on",
        "request_id": "request-1",
    }


def test_answers_have_the_published_shapes(door, monkeypatch):
    door.aws.reply("faq-c6i", Reply(b'{"embedding": [[1.0]]}'))
    _, embed = door.call(event("/embed", {"texts": ["a"]}))
    door.aws.reply("faq-c6i", answers_with([[{"corpus_id": 0, "score": 1.0}]]))
    _, nearest = door.call(event("/nearest", {"corpus": ["a"], "queries": ["a"]}))
    door.aws.reply("faq-c6i", found(HITS))
    _, search = door.call(event("/search", {"queries": ["a"]}))
    _, endpoints = door.call(event("/endpoints", method="GET"))
    _, error = door.call(event("/search", {"queries": []}))
    for shape, answer in [
        (answers.EmbedAnswer, embed),
        (answers.NearestAnswer, nearest),
        (answers.SearchAnswer, search),
        (answers.EndpointsAnswer, endpoints),
        (ErrorAnswer, error),
    ]:
        monkeypatch.setattr(shape, "__pydantic_config__", {"extra": "forbid"}, raising=False)
        TypeAdapter(shape).validate_python(answer, strict=True)


def info(bake_id):
    return answers_with({"bake_id": bake_id, "device": "cpu"})


def test_health_is_good_while_one_endpoint_serves_the_deployed_bake(door):
    door.aws.reply("faq-c6i", Reply.error(503, "ServiceUnavailable"))
    door.aws.reply("faq-g5", info("bake-1"))
    status, answer = door.call(event("/health", method="GET"))
    assert (status, answer["status"]) == (200, "ok")
    assert answer["endpoints"] == [
        {"instance_type": "ml.c6i.xlarge", "status": "unavailable"},
        {"instance_type": "ml.g5.2xlarge", "status": "ok", "bake_id": "bake-1"},
    ]
    assert {question["mode"] for _, question in door.aws.asked} == {"info"}


def test_health_is_bad_when_the_bakes_are_others_or_unknown(door):
    door.aws.reply("faq-c6i", info("bake-0"))
    door.aws.reply("faq-g5", Reply(b"<html>"))
    status, answer = door.call(event("/health", method="GET"))
    assert (status, answer["code"]) == (503, "model_unavailable")
    assert [line["status"] for line in answer["endpoints"]] == ["other_bake", "model_error"]
    TypeAdapter(answers.UnhealthyAnswer).validate_python(answer, strict=True)


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/nothing", "GET", 404, "not_found"),
        ("/", "GET", 404, "not_found"),
        ("/search", "GET", 405, "method_not_allowed"),
        ("/health", "POST", 405, "method_not_allowed"),
        ("/embed", "OPTIONS", 405, "method_not_allowed"),
    ],
)
def test_no_such_route(door, path, method, status, code):
    answer = door.call(event(path, method=method))
    assert (answer[0], answer[1]["code"]) == (status, code)
    assert answer[1]["request_id"] == "request-1"


def test_the_path_may_begin_with_a_custom_domains_mapping(door):
    door.aws.reply("faq-c6i", found(HITS))
    assert door.call(event(body={"queries": ["a"]}) | {"path": "/faq/search"})[0] == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
    ],
)
def test_only_utf8_json_is_a_supported_media_type(door, content_type):
    status, answer = door.call(event(body={"queries": ["a"]}, content_type=content_type))
    assert (status, answer["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "Application/JSON"])
def test_json_with_a_charset_is_supported(door, content_type):
    door.aws.reply("faq-c6i", found(HITS))
    assert door.call(event(body={"queries": ["a"]}, content_type=content_type))[0] == 200


def test_base64_bodies_are_decoded(door):
    door.aws.reply("faq-c6i", found(HITS))
    body = base64.b64encode('{"queries": ["Ё"]}'.encode()).decode()
    assert door.call(event(body=body, base64=True))[0] == 200
    assert door.aws.asked[0][1]["queries"] == ["Ё"]


@pytest.mark.parametrize(
    "text",
    [base64.b64encode(b'{"queries": ["\xff"]}').decode(), "not base64!"],
    ids=["latin-1", "not base64"],
)
def test_bodies_that_are_not_utf8(door, text):
    status, answer = door.call(event(body=text, base64=True))
    assert (status, answer["code"]) == (400, "invalid_request")
    assert "UTF-8" in answer["message"]


@pytest.mark.parametrize(
    ("path", "body", "field", "says"),
    [
        ("/search", {"queries": ["a", "", "b"]}, "queries.1", "empty"),
        ("/search", {"queries": ["\t \n"]}, "queries.0", "white space"),
        ("/search", {"queries": ["a"] * 3 + [7]}, "queries.3", "string"),
        ("/search", {"queries": ["a" * 20_001]}, "queries.0", "20000"),
        ("/search", {"queries": "a"}, "queries", "array"),
        ("/search", {"queries": []}, "queries", "at least 1 item, not 0"),
        ("/search", {"queries": ["a"] * 1001, "top_k": 1}, "queries", "at most 1000"),
        ("/search", {}, "queries", "missing"),
        ("/search", {"queries": ["a"], "top_k": 0}, "top_k", "greater than or equal to 1"),
        ("/search", {"queries": ["a"], "top_k": 1001}, "top_k", "1000"),
        ("/search", {"queries": ["a"], "top_k": True}, "top_k", "integer"),
        ("/search", {"queries": ["a"], "top_k": "3"}, "top_k", "integer"),
        ("/search", {"queries": ["a"], "top_k": 2.5}, "top_k", "integer"),
        ("/search", {"queries": ["a"], "min_score": 1.01}, "min_score", "less than or equal to 1"),
        ("/search", {"queries": ["a"], "min_score": False}, "min_score", "number"),
        ("/search", {"queries": ["a"], "margin": -0.1}, "margin", "greater than or equal to 0"),
        ("/search", {"queries": ["a"], "category": []}, "category", "at least 1 item"),
        ("/search", {"queries": ["a"], "category": ["b", " "]}, "category.1", "white space"),
        ("/search", {"queries": ["a"], "category": {"b": 1}}, "category", "array"),
        ("/search", '{"queries": ["a"], "top_k": Infinity}', "top_k", "integer"),
        ("/search", '{"queries": ["a"], "min_score": NaN}', "min_score", "finite"),
        ("/search", '{"queries": ["a"], "top_k": 1e999}', "top_k", "integer"),
        ("/search", '{"queries": ["a"], "min_score": -1e999}', "min_score", "finite"),
        ("/search", {"queries": ["a"], "endpoint_name": "x"}, "endpoint_name", "not a field"),
        ("/search", {"queries": ["a"] * 200, "top_k": 11}, "top_k", "2,000"),
        ("/nearest", {"queries": ["a"]}, "corpus", "missing"),
        ("/nearest", {"corpus": ["a"] * 999, "queries": ["a"] * 200, "top_k": 999}, "top_k", "fit"),
        ("/embed", {"texts": None}, "texts", "array"),
        ("/embed", {"texts": ["a"], "instance_type": 5}, "instance_type", "string"),
        ("/search", "", None, "not valid JSON"),
        ("/search", None, None, "not valid JSON"),
        ("/search", '{"queries": ["a"', None, "not valid JSON"),
        ("/search", '{"queries": ["\\ud800"]}', None, "not valid JSON"),
        ("/search", "[" * 100_000, None, "not valid JSON"),
        ("/search", '["a"]', None, "object"),
        ("/search", "\ufeff{}", None, "not valid JSON"),
    ],
)
def test_a_wrong_request_is_refused_with_the_wrong_field(door, path, body, field, says):
    status, answer = door.call(event(path, body))
    assert (status, answer["code"]) == (400, "invalid_request")
    assert answer.get("field") == field
    assert says in answer["message"]
    assert door.aws.asked == []


def test_nearest_hits_are_bounded_by_the_corpus_not_by_top_k(door):
    door.aws.reply("faq-c6i", Reply(json.dumps([[]] * 1000).encode()))
    body = {"corpus": ["a"], "queries": ["a"] * 1000, "top_k": 1000}
    assert door.call(event("/nearest", body))[0] == 200
    assert door.aws.asked[0][1]["top_k"] == 1


def test_several_mistakes_are_listed_but_not_a_million(door):
    _, answer = door.call(
        event(body={"queries": [""], "top_k": 0, **{f"x{i}": 1 for i in range(9)}})
    )
    assert "queries.0" in answer["message"] and "top_k" in answer["message"]
    assert answer["message"].endswith("; and 6 more.")
    for path, field in [("/search", "queries"), ("/embed", "texts")]:
        _, answer = door.call(event(path, {field: [1] * 900}))
        assert answer["message"] == f"{field}.0: should be a valid string."


@pytest.mark.parametrize("size", [5 * 1024 * 1024, 5 * 1024 * 1024 + 1])
def test_bodies_over_5_mb_are_sent_to_batch_transform(door, size):
    start = '{"queries": ["'
    body = start + "a" * (size - len(start))
    status, answer = door.call(event(body=body))
    if size > 5 * 1024 * 1024:
        assert (status, answer["code"]) == (413, "payload_too_large")
        assert "POST /batch" in answer["message"]
    else:
        assert (status, answer["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(("texts", "status"), [(651, 200), (652, 413)])
def test_texts_times_dimension_is_capped_before_the_model_is_asked(door, texts, status):
    number = b"-0.0009654928930103779, "
    vector = b"[" + (number * 384)[:-2] + b"]"
    door.aws.reply("faq-c6i", Reply(b'{"embedding": [' + b", ".join([vector] * texts) + b"]}"))
    answer = door.handler.handler(event("/embed", {"texts": ["a"] * texts}), Context())
    assert answer["statusCode"] == status
    assert len(json.dumps(answer)) < 6 * 1024 * 1024, "the largest allowed answer fits Lambda's"
    if status == 413:
        assert "at most 651" in answer["body"] and "POST /batch" in answer["body"]
        assert door.aws.asked == []


def test_an_answer_lambda_could_not_return_is_refused(door):
    # Quotes take two bytes in Lambda's own JSON: 3.2 MB of them do not fit into 6.
    door.aws.reply("faq-c6i", found([[HITS[0][0] | {"answer": '"' * (1_600_000)}]]))
    status, answer = door.call(event(body={"queries": ["a"]}))
    assert (status, answer["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"texts": ["a"]}),
        ("/nearest", {"corpus": ["a"], "queries": ["a"]}),
        ("/search", {"queries": ["a"]}),
        ("/search", {"queries": ["a"], "min_score": 0.5}),
    ],
)
@pytest.mark.parametrize(
    "nonsense",
    [
        *(b"<html>oops</html>", b'{"html": 1}', b"", b"null", b"\xff", b"[" * 100_000),
        *(b'{"embedding": [["\xff"]]}', b'[[{"corpus_id": 0, "score": NaN}]]'),
        *(b'{"embedding": [[1]]}{"embedding": [[1]]}', b'{"embedding": [' + b"[" * 99_999 + b"]}"),
        # Not one for each text.
        *(b'{"embedding": [[1], [1]]}', b'{"embedding": []}', b"[]", b"[[], []]"),
        *(b'{"bake_id": "bake-1", "results": []}', b'{"bake_id": "b", "results": [[], []]}'),
    ],
)
def test_models_that_answer_nonsense_are_a_model_error(door, path, body, nonsense):
    for endpoint in ENDPOINTS:
        door.aws.reply(endpoint["endpoint_name"], Reply(nonsense))
    status, answer = door.call(event(path, body))
    assert (status, answer["code"]) == (502, "model_error")
    assert "html" not in answer["message"]


def test_the_unexpected_is_json_without_its_trace_but_logged_with_it(door, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(routes, "read_results", broken)
    door.aws.reply("faq-c6i", found(HITS))
    status, answer = door.call(event(body={"queries": ["a"]}))
    assert (status, answer["code"], answer["request_id"]) == (500, "internal_error", "request-1")
    assert "secret" not in json.dumps(answer)
    logged = next(line for line in door.log.getvalue().splitlines() if "secret detail" in line)
    assert json.loads(logged)["request_id"] == "request-1"
    assert "Traceback" in json.loads(logged)["exception"]


def test_logs_have_the_request_id_and_never_the_callers_text(door, capsys):
    door.aws.reply("faq-c6i", Reply.error(500, "InternalFailure", Message="s3cret words"))
    door.aws.reply("faq-g5", found(HITS))
    door.call(event(body={"queries": ["s3cret words"]}))
    door.call(event(body={"queries": ["ok"], "s3cret words": 1}))
    printed = capsys.readouterr().out
    records = [json.loads(line) for line in door.log.getvalue().splitlines()]
    assert "s3cret" not in door.log.getvalue() + printed
    assert {record["request_id"] for record in records} == {"request-1"}
    assert any(record["message"] == "endpoint failed" for record in records)


def test_server_timing_tells_the_models_share_from_our_own(door):
    door.aws.reply("faq-c6i", Reply(found(HITS).body, silent_seconds=0.05))
    answer = door.handler.handler(event(body={"queries": ["a"]}), Context())
    header = answer["multiValueHeaders"]["Server-Timing"][0]
    model, own = (float(part.split("dur=")[1]) for part in header.split(", "))
    assert header.startswith("model;dur=") and "front_door;dur=" in header
    assert model >= 50
    assert 0 < own < 50
