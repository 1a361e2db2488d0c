"""Groups of records: many in a line, so that a transform job sends many in one request."""

from __future__ import annotations

import json

import pytest

from container.errors import InvalidRequestError


def ask(service, *lines):
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    answer = service.answer(bytearray(body.encode()), "application/jsonlines")
    return [json.loads(line) for line in answer.split(b"\n")]


def record(number, text="hello"):
    return {"id": number, "text_inputs": text}


def test_a_group_is_answered_record_by_record_in_order(service):
    texts = ["a long text about prices and models", "short", "Как обучить модель?", "short"]
    group = {"records": [record(n, text) for n, text in enumerate(texts)]}
    answers = ask(service, group)
    assert [answer["id"] for answer in answers] == [0, 1, 2, 3]
    alone = [ask(service, record(n, text))[0] for n, text in enumerate(texts)]
    for answer, expected in zip(answers, alone, strict=True):
        assert answer["embedding"] == pytest.approx(expected["embedding"], abs=1e-6)


def test_one_bad_record_fails_no_other(service):
    members = [
        record(1),
        {"id": 2},
        "text",
        None,
        ["list"],
        {"text_inputs": "no id"},
        {"id": 7, "text_inputs": "x", "extra": 1},
        {"id": 8, "text_inputs": "\ud800"},
        {"records": [record(9)]},
        record(10),
    ]
    answers = ask(service, {"records": members})
    assert ["embedding" in answer for answer in answers] == [True, *[False] * 8, True]
    assert [answer["id"] for answer in answers] == [1, 2, None, None, None, None, 7, 8, None, 10]
    assert [answer.get("error") for answer in answers[1:4]] == [
        "text_inputs is null; send a string",
        'the line is a string; a line is {"id": ..., "text_inputs": "..."}',
        'the line is null; a line is {"id": ..., "text_inputs": "..."}',
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"records": []}, "records is not a list of records with at least one in it"),
        ({"records": {"id": 1}}, "records is not a list of records with at least one in it"),
        (
            {"records": [record(1)], "mode": "embedding"},
            "a group of records has the field records and no other",
        ),
        ('{"records": [', "the body is not JSON: Expecting value at line 1, column 14"),
        ("", None),
        ({"id": 5}, "text_inputs is null; send a string"),
    ],
)
def test_groups_and_lines_mix_and_a_bad_line_fails_no_other(service, line, sentence):
    answers = ask(service, {"records": [record("a"), record("b")]}, line, record("c"))
    errors = [answer["error"] for answer in answers if "error" in answer]
    assert errors == [sentence] * (sentence is not None)
    assert [answer["id"] for answer in answers if "embedding" in answer] == ["a", "b", "c"]


def test_a_body_is_encoded_at_once(service, monkeypatch):
    encoder, counts = service._searcher.encoder, []
    encode = encoder.encode

    def count(texts):
        counts.append(len(texts))
        return encode(texts)

    monkeypatch.setattr(encoder, "encode", count)
    group = {"records": [record(n) for n in range(3)]}
    assert len(ask(service, group, record(3), group)) == 7
    assert counts == [7]


def test_a_group_is_a_line_and_no_request(service):
    body = json.dumps({"records": [record(1)]})
    with pytest.raises(InvalidRequestError, match='has no field "records"'):
        service.answer(body, "application/json")
