"""The contract of the endpoints: what they answer, and how they refuse."""

from __future__ import annotations

import json
import math
import time
from base64 import b64decode
from contextlib import contextmanager

import numpy as np
import pytest

from bench.texts import NEAREST_CORPUS, NEAREST_QUERIES
from container.errors import BusyError, ExpiredError, InternalError, InvalidRequestError
from container.serving.inference import transform_fn
from container.serving.requests import is_large, seconds_left
from container.serving.service import Service
from tests.support.container import FAQ, BakeRun, minilm

CORPUS, QUERIES = list(NEAREST_CORPUS), list(NEAREST_QUERIES)


def ask(service, body, content_type="application/json", accept="application/json"):
    if not isinstance(body, str | bytes | bytearray):
        body = json.dumps(body)
    return transform_fn(service, body, content_type, accept)


def refusal(service, body, content_type="application/json"):
    with pytest.raises(InvalidRequestError) as caught:
        ask(service, body, content_type)
    assert str(caught.value).startswith("invalid_request: ")
    return caught.value.sentence


def test_embedding(service, minilm_encoder):
    texts = ["How cute your dog is!", "Your dog is so cute.", "The mitochondria"]
    expected = minilm_encoder.encode(texts)
    for body in (texts, {"text_inputs": texts, "mode": "embedding"}, {"text_inputs": texts}):
        answer = json.loads(ask(service, body))
        assert list(answer) == ["embedding"]
        np.testing.assert_allclose(answer["embedding"], expected, atol=1e-6)


def test_an_embedding_in_base64_is_the_same(service):
    texts = ["How cute your dog is!", "The mitochondria"]
    plain = json.loads(ask(service, {"text_inputs": texts, "encoding_format": "float"}))
    packed = json.loads(ask(service, {"text_inputs": texts, "encoding_format": "base64"}))
    assert list(packed) == ["embedding"]
    vectors = [np.frombuffer(b64decode(text), dtype="<f4") for text in packed["embedding"]]
    np.testing.assert_array_equal(vectors, np.asarray(plain["embedding"], np.float32))


def test_tokens_are_counted_as_the_model_reads_them(service):
    body = {"text_inputs": ["hello", "hello world"], "count_tokens": True}
    assert json.loads(ask(service, body))["tokens"] == 3 + 4  # [CLS] and [SEP] as well
    body = {"text_inputs": ["word " * 1000], "count_tokens": True, "encoding_format": "base64"}
    assert json.loads(ask(service, body))["tokens"] == 256, "what it cuts off is not read"


def test_nearest_in_a_supplied_corpus(service, minilm_encoder):
    body = {"corpus": CORPUS, "queries": QUERIES, "top_k": 3, "mode": "nn_corpus"}
    answer = json.loads(ask(service, body))
    scores = minilm_encoder.encode(QUERIES) @ minilm_encoder.encode(CORPUS).T
    for matches, expected in zip(answer, scores, strict=True):
        assert [set(match) for match in matches] == [{"corpus_id", "score"}] * 3
        assert [match["corpus_id"] for match in matches] == np.argsort(-expected).tolist()
        found = [match["score"] for match in matches]
        np.testing.assert_allclose(found, np.sort(expected)[::-1], atol=1e-6)
    # The third query of the example is nearest to the third text with larger models only.
    assert [matches[0]["corpus_id"] for matches in answer[:2]] == [0, 1]


def test_nearest_in_the_baked_corpus(service):
    body = {"queries": ["Is R supported with Amazon SageMaker?"], "top_k": 1}
    body["mode"] = "nn_train_data"
    ((match,),) = json.loads(ask(service, body))
    assert set(match) == {"id", "score"}
    assert match["id"] == "1"
    ((match,),) = json.loads(ask(service, body | {"return_text": True}))
    assert (set(match), match["text"]) == ({"id", "score", "text"}, FAQ[1][1])


def test_search_gives_whole_entries_and_the_bake(service):
    body = {"queries": ["Is R supported with Amazon SageMaker?", "Wie teuer?"], "mode": "search"}
    answer = json.loads(ask(service, body | {"top_k": 2}))
    assert (list(answer), answer["bake_id"]) == (["bake_id", "results"], "bake-1")
    assert answer["results"][0][0]["id"] == "1"
    for hits in answer["results"]:
        for hit in hits:
            assert list(hit) == ["id", "question", "answer", "passage", "fields", "score"]
            assert (hit["question"], hit["answer"]) == FAQ[int(hit["id"])]
            assert (hit["passage"], hit["fields"]) == (None, {})
    assert len(json.loads(ask(service, body))["results"][0]) == 3, "top_k is three unless given"


def test_search_without_the_lexical_part_scores_by_vectors_alone(service):
    body = {"queries": [FAQ[1][0]], "mode": "search"}
    (with_words,), (alone,) = (
        json.loads(ask(service, body | {"top_k": 1, "lexical": lexical}))["results"]
        for lexical in (True, False)
    )
    assert with_words[0]["id"] == alone[0]["id"] == "1"
    # score = 2/3 of the vectors' part + 1/3 of the words', which is nearly perfect here.
    assert with_words[0]["score"] - 2 / 3 * alone[0]["score"] == pytest.approx(1 / 3, abs=0.2)


def test_search_of_one_category_with_fields_and_the_passage_that_matched(tmp_path):
    filler = " ".join(f"Sentence {number} is about nothing in particular." for number in range(80))
    entries = [
        {"question": "Pets?", "answer": f"<p>{filler}</p> A wombat digs.", "category": "animals"},
        {"question": "Wombats?", "answer": "They dig.", "category": "other", "url": "https://x"},
    ]
    corpus = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    run = BakeRun(tmp_path / "ml", minilm(), corpus, "faq.jsonl")
    assert run.run_here() == 0, run.failure
    service = Service.open(run.model, None)
    body = {"queries": ["What does a wombat do?"], "mode": "search"}
    (both,) = json.loads(ask(service, body))["results"]
    assert {hit["id"]: hit["fields"] for hit in both} == {
        "0": {"category": "animals"},
        "1": {"category": "other", "url": "https://x"},
    }
    for category in ("animals", ["animals", "unknown"]):
        ((hit,),) = json.loads(ask(service, body | {"category": category}))["results"]
        assert hit["id"] == "0"
        assert hit["answer"] == entries[0]["answer"]
        assert hit["passage"].endswith("A wombat digs.")
        assert "<p>" not in hit["passage"]
        assert len(hit["passage"]) < len(filler)


def test_search_gives_null_for_an_entry_without_a_question(tiny_run):
    corpus = b'{"id": "a", "text": "hello"}\n{"id": "b", "question": "hey", "answer": "world"}\n'
    run = tiny_run(corpus, "faq.jsonl")
    assert run.run_here() == 0
    body = {"queries": ["hello"], "mode": "search"}
    (hits,) = json.loads(ask(Service.open(run.model, None), body))["results"]
    assert {hit["id"]: (hit["question"], hit["answer"]) for hit in hits} == {
        "a": (None, "hello"),
        "b": ("hey", "world"),
    }


def test_top_k_beyond_the_corpus_gives_all(service):
    body = {"queries": ["a", "b"], "top_k": 10**9, "mode": "nn_train_data"}
    answer = json.loads(ask(service, body))
    assert [len(matches) for matches in answer] == [len(FAQ)] * 2
    body = {"queries": ["a"], "corpus": ["x", "y"], "top_k": 7, "mode": "nn_corpus"}
    assert len(json.loads(ask(service, body))[0]) == 2


def test_equal_texts_come_in_the_corpus_order(service):
    body = {"queries": ["same"], "corpus": ["other", "same", "same"], "mode": "nn_corpus"}
    (matches,) = json.loads(ask(service, body))
    assert [match["corpus_id"] for match in matches] == [1, 2, 0]


def test_info_is_the_manifest_and_the_runtime(service, baked):
    answer = json.loads(ask(service, {"mode": "info"}))
    manifest = json.loads((baked / "bake-manifest.json").read_text("utf-8"))
    assert answer == manifest | {"device": "cpu", "runtime": answer["runtime"]}
    assert answer["runtime"].startswith("openvino ")


def test_probes_are_repeated_exactly(service):
    probes = json.loads(ask(service, {"mode": "info"}))["probes"]
    for probe in probes:
        body = {"queries": [probe["query"]], "top_k": 3, "mode": "search"}
        (matches,) = json.loads(ask(service, body))["results"]
        assert [match["id"] for match in matches] == probe["ids"]
        scores = [match["score"] for match in matches]
        assert scores == pytest.approx(probe["scores"], abs=1e-5)


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: bytearray(text.encode())])
@pytest.mark.parametrize(
    "content_type", [None, "application/json", "Application/JSON; Charset=UTF-8"]
)
def test_bodies_come_as_str_or_bytes(service, kind, content_type):
    answer = ask(service, kind('["Привет"]'), content_type, "*/*")
    assert len(json.loads(answer)["embedding"][0]) == 384


def test_a_byte_order_mark_does_no_harm(service):
    for body in ('\ufeff["a"]', b'\xef\xbb\xbf["a"]'):
        assert b"embedding" in ask(service, body)


class TestTheCallersTime:
    """Until when an answer is of use, by a parameter of the content type."""

    @pytest.mark.parametrize(
        ("content_type", "expected"),
        [
            ("application/json; deadline=1012.5", 12.5),
            ('application/json; charset=utf-8; Deadline="1012.5"', 12.5),
            ("application/json; deadline=995", -5),
            ("application/json", 60),
            (None, 60),
            ("application/json; deadline=1100", 60),
            ("application/json; deadline=9", 60),
            ("application/json; deadline=nan", 60),
            ("application/jsonlines", math.inf),
        ],
    )
    def test_how_long_the_caller_waits(self, content_type, expected):
        """SageMaker lets nobody wait for more than a minute; such a deadline is another clock's."""
        assert seconds_left(content_type, lambda: 1000.0) == expected

    def test_a_deadline_that_is_no_number_is_refused(self, service):
        words = refusal(service, '["a"]', "application/json; deadline=soon")
        assert words == "the content type's deadline is 'soon'; send seconds in Unix time"

    def test_nothing_is_done_for_a_caller_who_has_gone(self, service):
        content_type = f"application/json; deadline={time.time() - 1}"
        with pytest.raises(ExpiredError, match="time_out: "):
            ask(service, '["a"]', content_type)
        assert json.loads(ask(service, '["a"]'))["embedding"], "the next one is answered"

    def test_work_ends_in_the_middle_when_the_time_is_over(self, service):
        content_type = f"application/json; deadline={time.time() + 0.3}"
        began = time.monotonic()
        with pytest.raises(ExpiredError):
            ask(service, ["word " * 300] * 3_000, content_type)
        assert time.monotonic() - began < 20, "all of them would take a minute"

    def test_an_answer_that_comes_too_late_is_dropped(self, service, monkeypatch):
        encoder = service._searcher.encoder
        encode = encoder.encode_tokens

        def slowly(tokens):
            vectors = encode(tokens)
            encoder.deadline = time.monotonic()
            return vectors

        monkeypatch.setattr(encoder, "encode_tokens", slowly)
        with pytest.raises(ExpiredError):
            ask(service, '["a"]')

    @pytest.mark.parametrize(
        ("size", "content_type", "expected"),
        [
            (100_000, "application/json", False),
            (100_001, "application/json", True),
            (10, "application/json; deadline=1; large=true", True),
            (200_000, "application/jsonlines", False),
        ],
    )
    def test_which_requests_are_large(self, size, content_type, expected):
        assert is_large("a" * size, content_type) is expected

    def test_a_large_request_too_many_is_refused_before_it_is_read(self, service, monkeypatch):
        @contextmanager
        def no_place():
            raise BusyError
            yield

        monkeypatch.setattr(service._searcher.encoder, "large_request", no_place)
        with pytest.raises(BusyError, match="busy: "):
            ask(service, "{", "application/json; large=true")
        assert json.loads(ask(service, '["a"]'))["embedding"]


@pytest.mark.parametrize("content_type", ["application/x-text", "text/plain; charset=utf-8"])
def test_plain_text_is_one_text_or_json(service, content_type):
    one = json.loads(ask(service, bytearray(b"hello"), content_type))["embedding"]
    assert one == json.loads(ask(service, ["hello"]))["embedding"]
    assert one == json.loads(ask(service, b' ["hello"]', content_type))["embedding"]


def test_a_batch_line(service):
    record = {"id": 1, "text_inputs": "hello"}
    expected = json.loads(ask(service, ["hello"]))["embedding"][0]
    for content_type in ("application/json", "application/jsonlines"):
        answer = json.loads(ask(service, record, content_type, "text/csv"))
        assert answer == {"id": 1, "embedding": expected}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "the body is empty; send a JSON object or a list of texts"),
        ("[", "the body is not JSON: Expecting value at line 1, column 2"),
        ("[" * 100_000, "the body's JSON is nested too deeply"),
        ("3", "the body is a number; send a JSON object or a list of texts"),
        ("null", "the body is null; send a JSON object or a list of texts"),
        ("[NaN]", "the body holds NaN, which is not JSON"),
        (
            '{"id": 1e999, "text_inputs": "a"}',
            "id is a number that is too large; send a string or a number",
        ),
        ('{"top_k": -Infinity}', "the body holds -Infinity, which is not JSON"),
        ([], "list is empty; send at least one text"),
        (["a", 1], "list[1] is a number; send a string"),
        ([["a"]], "list[0] is a list; send a string"),
        ('["\\ud83d"]', "list[0] holds half a surrogate pair at character 0"),
        ({}, "text_inputs is missing; send a list of texts"),
        ({"text_inputs": "a"}, "text_inputs is a string; send a list of texts"),
        ({"text_inputs": None}, "text_inputs is missing; send a list of texts"),
        ({"text_inputs": [None]}, "text_inputs[0] is null; send a string"),
        (
            {"text_inputs": ["a"], "encoding_format": "int8"},
            'encoding_format is "int8"; allowed are float, base64',
        ),
        (
            {"text_inputs": ["a"], "count_tokens": 1},
            "count_tokens is a number; send true or false",
        ),
        (
            {"text_inputs": ["a"], "top_k": 1},
            'mode embedding has no field "top_k"; allowed are text_inputs, encoding_format, '
            "count_tokens, mode, request_id",
        ),
        (
            {"mode": "find"},
            'mode is "find"; allowed are embedding, nn_corpus, nn_train_data, queries, search, '
            "info",
        ),
        (
            {"mode": ["info"]},
            'mode is ["info"]; allowed are embedding, nn_corpus, nn_train_data, queries, search, '
            "info",
        ),
        ({"mode": "info", "x": 1}, 'mode info has no field "x"; allowed are mode'),
        ({"mode": "nn_corpus", "queries": ["a"]}, "corpus is missing; send a list of texts"),
        ({"mode": "nn_corpus", "corpus": ["a"]}, "queries is missing; send a list of texts"),
        (
            {"mode": "nn_corpus", "corpus": [], "queries": ["a"]},
            "corpus is empty; send at least one text",
        ),
        ({"mode": "nn_train_data", "queries": {}}, "queries is an object; send a list of texts"),
        *(
            (
                {"mode": "nn_train_data", "queries": ["a"], "top_k": value},
                f"top_k is {shown}; send a whole number of at least 1",
            )
            for value, shown in (
                (0, "0"),
                (-1, "-1"),
                (1.0, "a number"),
                ("3", "a string"),
                (True, "true"),
                (None, "null"),
            )
        ),
        (
            {"mode": "nn_train_data", "queries": ["a"], "return_text": 1},
            "return_text is a number; send true or false",
        ),
        ({"mode": "search"}, "queries is missing; send a list of texts"),
        (
            {"mode": "search", "queries": ["a"], "top_k": 0},
            "top_k is 0; send a whole number of at least 1",
        ),
        (
            {"mode": "search", "queries": ["a"], "return_text": True},
            'mode search has no field "return_text"; allowed are queries, top_k, category, '
            "lexical, mode, request_id",
        ),
        (
            {"mode": "search", "queries": ["a"], "category": ["b", 1]},
            "category[1] is a number; send a string",
        ),
        (
            {"mode": "search", "queries": ["a"], "lexical": 1},
            "lexical is a number; send true or false",
        ),
        (
            {"mode": "nn_train_data", "queries": ["a"], "return_texts": True},
            'mode nn_train_data has no field "return_texts"; '
            "allowed are queries, top_k, return_text, mode, request_id",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(service, body, sentence):
    assert refusal(service, body) == sentence


def test_a_number_too_long_to_read_is_refused(service):
    assert refusal(service, f'{{"top_k": {"9" * 5000}}}').startswith("the body is not JSON we can")


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        ("text/csv", "content type 'text/csv' is not accepted; send application/json"),
        ("image/png", "content type 'image/png' is not accepted"),
        ("application/json; charset=latin-1", "charset 'latin-1' is not accepted"),
    ],
)
def test_other_content_types_are_refused(service, content_type, words):
    assert words in refusal(service, "a", content_type)


def test_a_body_that_is_not_utf8_is_refused(service):
    assert refusal(service, b'["\xff"]') == "the body is not UTF-8: invalid start byte at byte 2"


def test_an_internal_error_is_not_the_callers(service, monkeypatch):
    def fail(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service._searcher.encoder, "encode_tokens", fail)
    with pytest.raises(InternalError) as caught:
        ask(service, ["a"])
    assert str(caught.value).startswith("internal_error: the model failed")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("number", [np.nan, -np.inf])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [(["a"], "application/json"), ({"id": 1, "text_inputs": "a"}, "application/jsonlines")],
)
def test_vectors_that_are_not_finite_are_an_internal_error(
    service, monkeypatch, number, body, content_type
):
    broken = np.full((1, 384), number, dtype=np.float32)
    monkeypatch.setattr(service._searcher.encoder, "encode_tokens", lambda _: broken)
    with pytest.raises(InternalError):
        ask(service, body, content_type)


def test_without_stored_text_only_ids_are_given(tiny_run):
    run = tiny_run()
    assert run.run_here(store_text="false") == 0
    service = Service.open(run.model, None)
    body = {"queries": ["a"], "mode": "nn_train_data"}
    assert len(json.loads(ask(service, body))[0]) == 3
    assert refusal(service, body | {"return_text": True}) == (
        "return_text is not possible: this corpus was baked without its texts (store_text is false)"
    )
    (hits,) = json.loads(ask(service, body | {"mode": "search"}))["results"]
    assert [(hit["question"], hit["answer"]) for hit in hits] == [(None, None)] * 3
    assert len({hit["id"] for hit in hits}) == 3


def test_prefixes_are_for_search_and_not_for_embedding(tiny_run):
    run = tiny_run()
    assert run.run_here(query_prefix="abc ", passage_prefix="xyz ") == 0
    service = Service.open(run.model, None)
    encode = service._searcher.encoder.encode
    (embedded,) = json.loads(ask(service, ["hello"]))["embedding"]
    np.testing.assert_allclose(embedded, encode(["hello"])[0], atol=1e-6)
    body = {"queries": ["hello"], "corpus": ["world"], "mode": "nn_corpus"}
    ((match,),) = json.loads(ask(service, body))
    query, passage = encode(["abc hello", "xyz world"])
    assert match["score"] == pytest.approx(float(query @ passage), abs=1e-5)
    body = {"queries": ["hello"], "top_k": 1, "mode": "nn_train_data"}
    ((match,),) = json.loads(ask(service, body))
    best = max(float(query @ row) for row in encode([f"xyz {answer}" for _, answer in FAQ]))
    assert match["score"] == pytest.approx(best, abs=1e-5)
