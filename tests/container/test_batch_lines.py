"""Lines of records, and groups of records, of which a transform job sends many in one request."""

from __future__ import annotations

import json

import pytest

from container.errors import InvalidRequestError

# A record's text, its id in the answer, and how its error starts; None: it gets a vector.
RECORDS = [
    ('{"id": 1, "text_inputs": "one\u2028same line"}', 1, None),
    ('{"id": "b", "text_inputs": ["two"]}', "b", "text_inputs is a list; send a string"),
    ('{"id": 4.5, "text_inputs": "four", "mode": "embedding"}', 4.5, None),
    ('{"id": 5}', 5, "text_inputs is null; send a string"),
    ('{"text_inputs": "no id"}', None, "id is null; send a string or a number"),
    ('{"id": true, "text_inputs": "x"}', None, "id is true; send a string or a number"),
    ('{"id": "g", "text_inputs": "x", "extra": 1}', "g", 'mode embedding has no field "extra"'),
    ('["list"]', None, 'the line is a list; a line is {"id": ..., "text_inputs": "..."}'),
    ("null", None, 'the line is null; a line is {"id": ..., "text_inputs": "..."}'),
    (r'{"id": "\ud800", "text_inputs": "\ud800"}', "\ud800", "text_inputs holds half a surrogate"),
    ('{"id": 9, "text_inputs": "x", "mode": "info"}', 9, 'mode is "info"; a record'),
    ('{"id": 12345678901234567890123, "text_inputs": "x"}', 12345678901234567890123, None),
    ('{"id": -1e999, "text_inputs": "x"}', None, "id is a number that is too large; send a string"),
]


def answers(service, *lines):
    body = bytearray("\n".join(lines).encode())
    answer = service.answer(body, "application/jsonlines")
    return [json.loads(line) for line in answer.split(b"\n")]


def group(*records):
    return json.dumps({"records": list(records)})


def record(number, text="hello"):
    return {"id": number, "text_inputs": text}


@pytest.mark.parametrize("is_group", [False, True], ids=["lines", "a group"])
def test_a_wrong_record_affects_no_other(service, is_group):
    texts = [text for text, _, _ in RECORDS]
    body = ['{"records": [' + ",".join(texts) + "]}"] if is_group else ["", *texts, "\r"]
    found = answers(service, *body)
    for answer, (_, expected_id, error) in zip(found, RECORDS, strict=True):
        assert answer["id"] == expected_id
        if error is None:
            assert len(answer["embedding"]) == 384
        else:
            assert answer["error"].startswith(error)
            assert "embedding" not in answer


def test_a_group_is_answered_record_by_record_in_order(service):
    texts = ["a long text about prices and models", "short", "Как обучить модель?", "short"]
    records = [record(n, text) for n, text in enumerate(texts)]
    found = answers(service, group(*records))
    assert [answer["id"] for answer in found] == [0, 1, 2, 3]
    alone = [answers(service, json.dumps(each))[0] for each in records]
    for answer, expected in zip(found, alone, strict=True):
        assert answer["embedding"] == pytest.approx(expected["embedding"], abs=1e-6)


NOT_A_LIST = "records is not a list of records with at least one in it"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"records": []}', NOT_A_LIST),
        ('{"records": {"id": 1}}', NOT_A_LIST),
        (
            '{"records": [{"id": 1, "text_inputs": "a"}], "mode": "embedding"}',
            "a group of records has the field records and no other",
        ),
        ('{"records": [', "the body is not JSON: Expecting value at line 1, column 14"),
        ("not json", "the body is not JSON: Expecting value at line 1, column 1"),
        ("", None),
    ],
)
def test_groups_and_lines_mix_and_a_wrong_line_affects_no_other(service, line, sentence):
    body = (group(record("a"), record("b")), line, json.dumps(record("c")))
    found = answers(service, *body)
    errors = [answer["error"] for answer in found if "error" in answer]
    assert errors == [sentence] * (sentence is not None)
    assert [answer["id"] for answer in found if "embedding" in answer] == ["a", "b", "c"]


def test_a_body_is_encoded_at_once(service, monkeypatch):
    encoder, counts = service._searcher.encoder, []
    encode = encoder.encode

    def count(texts):
        counts.append(len(texts))
        return encode(texts)

    monkeypatch.setattr(encoder, "encode", count)
    three = group(*map(record, range(3)))
    assert len(answers(service, three, json.dumps(record(3)), three)) == 7
    assert counts == [7]


def test_a_group_is_a_line_and_no_request(service):
    with pytest.raises(InvalidRequestError, match='has no field "records"'):
        service.answer(group(record(1)), "application/json")
