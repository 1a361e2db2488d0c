"""A request's line in the log: has the caller's id, and never a word of the texts."""

from __future__ import annotations

import json
import logging

import pytest

from container.errors import InternalError, InvalidRequestError
from container.serving.service import Service

SECRET = "a secret text"
ID = "5f0c1f9e-6a3b-4c1d-9a41-7f2f2f6f0e11"


@pytest.fixture
def logged(caplog):
    """The lines written since it was last called, parsed."""
    caplog.set_level(logging.INFO)

    def lines():
        messages = [r.getMessage() for r in caplog.records]
        texts = [message for message in messages if message.startswith("{")]
        caplog.clear()
        assert not any("\n" in text or SECRET in text for text in texts)
        return [json.loads(text) for text in texts]

    return lines


@pytest.mark.parametrize(
    ("request_", "mode", "texts"),
    [
        ({"text_inputs": [SECRET, "b"]}, "embedding", 2),
        ({"text_inputs": [SECRET], "mode": "embedding"}, "embedding", 1),
        ({"corpus": [SECRET, "b"], "queries": ["c"], "mode": "nn_corpus"}, "nn_corpus", 3),
        ({"queries": [SECRET], "mode": "nn_train_data"}, "nn_train_data", 1),
        ({"queries": [SECRET, "b", "c"], "mode": "search"}, "search", 3),
    ],
)
def test_a_request_is_logged_by_its_id_which_changes_no_answer(
    service, logged, request_, mode, texts
):
    with_id = service.answer(json.dumps(request_ | {"request_id": ID}), None)
    assert with_id == service.answer(json.dumps(request_), None)
    first, second = logged()
    assert first["milliseconds"] > 0
    assert {**first, "milliseconds": 0} == {
        "message": "answered",
        "request_id": ID,
        "mode": mode,
        "texts": texts,
        "milliseconds": 0,
        "bake_id": "bake-1",
    }
    assert {**second, "milliseconds": 0} == {**first, "request_id": None, "milliseconds": 0}


@pytest.mark.parametrize(
    ("body", "content_type", "mode", "texts"),
    [
        (["a", "b"], "application/json", "embedding", 2),
        (SECRET, "application/x-text", "embedding", 1),
        ({"id": 1, "text_inputs": SECRET}, "application/json", "embedding", 1),
        ({"mode": "info"}, "application/json", "info", 0),
        ({"records": [{"id": 1, "text_inputs": SECRET}, {"id": 2}]}, "application/jsonlines",
         "batch", 1),
    ],
)  # fmt: skip
def test_requests_without_an_id_are_logged_too(service, logged, body, content_type, mode, texts):
    service.answer(body if isinstance(body, str) else json.dumps(body), content_type)
    (line,) = logged()
    assert (line["message"], line["request_id"], line["mode"], line["texts"]) == (
        "answered",
        None,
        mode,
        texts,
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (1, "request_id is a number; send a string"),
        (None, "request_id is null; send a string"),
        ("", "request_id is not usable; send 1 to 128 printable characters"),
        ("x" * 129, "request_id is not usable; send 1 to 128 printable characters"),
        ("a\nb", "request_id is not usable; send 1 to 128 printable characters"),
        ("\ud800", "request_id is not usable; send 1 to 128 printable characters"),
    ],
)
def test_an_id_that_would_garble_the_log_is_refused(service, logged, given, sentence):
    for body in (
        {"text_inputs": ["a"], "request_id": given},
        {"queries": ["a"], "corpus": ["b"], "mode": "nn_corpus", "request_id": given},
        {"queries": ["a"], "mode": "nn_train_data", "request_id": given},
        {"queries": ["a"], "mode": "search", "request_id": given},
    ):
        with pytest.raises(InvalidRequestError) as caught:
            service.answer(json.dumps(body), None)
        assert caught.value.sentence == sentence
    assert [(line["message"], line["request_id"]) for line in logged()] == [("refused", None)] * 4


def test_the_longest_id_is_taken(service, logged):
    service.answer(json.dumps({"text_inputs": ["a"], "request_id": "ü" * 128}), None)
    assert logged()[0]["request_id"] == "ü" * 128


def test_a_refused_request_is_logged_without_what_was_wrong(service, logged):
    with pytest.raises(InvalidRequestError):
        service.answer(json.dumps({"mode": SECRET}), None)
    (line,) = logged()
    assert (line["message"], line["mode"]) == ("refused", None)


def test_a_request_that_failed_is_logged_by_its_id(service, logged, monkeypatch):
    def fail(_):
        raise RuntimeError("broken")

    monkeypatch.setattr(service._searcher.encoder, "encode_tokens", fail)
    with pytest.raises(InternalError):
        service.answer(json.dumps({"text_inputs": [SECRET], "request_id": ID}), None)
    (line,) = logged()
    assert (line["message"], line["request_id"], line["texts"]) == ("failed", ID, 1)


def test_an_answer_that_the_server_cannot_send_is_refused(baked, logged, monkeypatch):
    monkeypatch.setenv("MMS_MAX_RESPONSE_SIZE", "5000")
    service = Service.open(baked, None)
    service.answer(json.dumps(["a"]), None)
    logged()
    with pytest.raises(InvalidRequestError, match="at most 5,000 can be sent: send fewer texts"):
        service.answer(json.dumps({"text_inputs": ["a", "b"], "request_id": ID}), None)
    (line,) = logged()
    assert (line["message"], line["request_id"]) == ("refused", ID)
