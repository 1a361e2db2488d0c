"""The routes for OpenAI's clients: their requests, answers and errors in OpenAI's form."""

from __future__ import annotations

import base64
import json
import struct

import pytest

from tests.support.front_door import DEPLOYMENT, Context, Reply, event

MODEL = DEPLOYMENT["model_id"]
SHOWN = {"id": MODEL, "object": "model", "created": 0, "owned_by": "jumpstart"}


def counted(embedding, tokens=7):
    return Reply(json.dumps({"embedding": embedding, "tokens": tokens}).encode())


def asked(**fields):
    return event("/embeddings", {"model": MODEL, **fields})


def refused(door, request):
    """Status and error of an answer that has nothing but an error in OpenAI's form."""
    status, answer = door.call(request)
    (error,) = answer.values()
    assert set(error) == {"message", "type", "param", "code"}
    return status, error


def test_a_text_or_a_list_of_them_becomes_embeddings(door):
    door.aws.reply("faq-c6i", counted([[0.1, -2e-05]], 6))
    status, answer = door.call(asked(input="How cute!"))
    assert status == 200
    assert answer == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -2e-05]}],
        "model": MODEL,
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    }
    assert door.aws.asked == [
        (
            "faq-c6i",
            {
                "mode": "embedding",
                "text_inputs": ["How cute!"],
                "encoding_format": "float",
                "count_tokens": True,
                "request_id": "request-1",
            },
        )
    ]
    door.aws.reply("faq-c6i", counted([[0.5], [1.5]]))
    _, answer = door.call(asked(input=["a", "b"]))
    assert [(each["index"], each["embedding"]) for each in answer["data"]] == [
        (0, [0.5]),
        (1, [1.5]),
    ]


def test_base64_is_made_by_the_endpoint(door):
    text = base64.b64encode(struct.pack("<2f", 0.5, -1)).decode()
    door.aws.reply("faq-c6i", counted([text]))
    status, answer = door.call(asked(input="a", encoding_format="base64"))
    assert (status, answer["data"][0]["embedding"]) == (200, text)
    assert door.aws.asked[0][1]["encoding_format"] == "base64"


def test_the_request_id_is_in_a_header(door):
    door.aws.reply("faq-c6i", counted([[0.5]]))
    answer = door.handler.handler(asked(input="a"), Context())
    assert answer["multiValueHeaders"]["x-request-id"] == ["request-1"]


def test_unknown_fields_are_ignored(door):
    door.aws.reply("faq-c6i", counted([[0.5]]))
    status, _ = door.call(asked(input="a", user="u-1", dimensions=None, safety_identifier="x"))
    assert status == 200


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": [1, 2]}, "input", "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, "input", "check_embedding_ctx_length=False"),
        ({"input": "a", "dimensions": 256}, "dimensions", "cannot be chosen"),
        ({"input": "a", "dimensions": 384}, "dimensions", "cannot be chosen"),
        ({"input": ""}, "input.0", "white space"),
        ({"input": []}, "input", "at least 1"),
        ({"input": ["a"] * 2049}, "input", "at most 2048"),
        ({"input": "x" * 20_001}, "input.0", "20000"),
        ({"input": None}, "input", "array"),
        ({}, "input", "is missing"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
        ({"input": "a", "model": 3}, "model", "string"),
    ],
)
def test_what_is_wrong_is_said_in_openais_form(door, fields, param, words):
    status, error = refused(door, asked(**fields))
    assert (status, error["code"], error["type"]) == (
        400,
        "invalid_request",
        "invalid_request_error",
    )
    assert error["param"] == param
    assert words in error["message"]
    assert not door.aws.asked


def test_another_model_does_not_exist(door):
    for request in (
        asked(input="a", model="text-embedding-3-small"),
        {
            **event("/models/{model}", method="GET"),
            "pathParameters": {"model": "text-embedding-3-small"},
        },
    ):
        status, error = refused(door, request)
        assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert MODEL in error["message"]


def test_more_numbers_fit_in_base64(door):
    texts = ["a"] * 1000  # as many as LangChain sends at once
    status, error = refused(door, asked(input=texts))
    assert (status, error["code"], error["param"]) == (413, "payload_too_large", "input")
    assert "at most 651" in error["message"]
    vector = base64.b64encode(bytes(4 * DEPLOYMENT["dimension"])).decode()
    door.aws.reply("faq-c6i", counted([vector] * 2048))
    status, answer = door.call(asked(input=["a"] * 2048, encoding_format="base64"))
    assert (status, len(answer["data"])) == (200, 2048)


def test_the_longest_answer_in_base64_fits(door):
    """A model of 1,024 dimensions has the longest vectors."""
    door.aws.ssm.deployed = json.dumps({**DEPLOYMENT, "dimension": 1024})
    vector = base64.b64encode(bytes(4 * 1024)).decode()
    door.aws.reply("faq-c6i", counted([vector] * 976))
    status, _ = door.call(asked(input=["a"] * 976, encoding_format="base64"))
    assert status == 200
    assert refused(door, asked(input=["a"] * 977, encoding_format="base64"))[0] == 413


@pytest.mark.parametrize(
    ("reply", "status", "code", "kind"),
    [
        (
            Reply.error(400, "ModelError", Message="x", OriginalStatusCode=500),
            502,
            "model_error",
            "server_error",
        ),
        (
            Reply.error(400, "ThrottlingException", message="Rate exceeded"),
            429,
            "throttled",
            "rate_limit_error",
        ),
        (counted([["0x"]]), 502, "model_error", "server_error"),
        (Reply(b'{"embedding": [[0.5]]}'), 502, "model_error", "server_error"),
    ],
)
def test_failures_are_said_in_openais_form(door, reply, status, code, kind):
    door.aws.reply("faq-c6i", reply)
    door.aws.reply("faq-g5", reply)
    got, error = refused(door, asked(input="a"))
    assert (got, error["code"], error["type"], error["param"]) == (status, code, kind, None)


def test_a_bake_that_counts_no_tokens_is_named_as_the_reason(door):
    sentence = 'mode embedding has no field \\"encoding_format\\"; allowed are text_inputs'
    original = f'{{"code": 400, "message": "invalid_request: {sentence}"}}'
    door.aws.reply(
        "faq-c6i",
        Reply.error(
            424, "ModelError", Message="x", OriginalStatusCode=400, OriginalMessage=original
        ),
    )
    status, error = refused(door, asked(input="a"))
    assert (status, error["code"]) == (503, "model_unavailable")
    assert "earlier version" in error["message"]


def test_a_wrong_method_is_refused_in_openais_form_and_other_paths_in_ours(door):
    status, error = refused(door, event("/embeddings", method="GET"))
    assert (status, error["code"]) == (405, "method_not_allowed")
    _, answer = door.call(event("/embed", {}))
    assert set(answer) == {"code", "message", "request_id", "field"}


def test_models_are_the_deployed_one(door):
    assert door.call(event("/models", method="GET")) == (200, {"object": "list", "data": [SHOWN]})
    one = {**event("/models/{model}", method="GET"), "pathParameters": {"model": MODEL}}
    assert door.call(one) == (200, SHOWN)


def test_without_a_deployment_there_is_no_model(door):
    door.aws.ssm.deployed = Reply.error(400, "ParameterNotFound", message="x")
    status, error = refused(door, event("/models", method="GET"))
    assert (status, error["code"], error["type"]) == (503, "model_unavailable", "server_error")
