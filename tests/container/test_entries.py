"""Lines of a corpus become lines for an index of S3 Vectors."""

from __future__ import annotations

import array
import json
import struct
from base64 import b64decode

import botocore.session
import numpy as np
import pytest
from botocore.validate import validate_parameters

from container.encoder.model_config import ModelConfig
from container.search.nearest import normalized
from container.search.passages import Passages
from container.search.terms import terms
from container.serving import entries
from container.serving.entries import EntryEncoder, EntryLines
from contract import vector_index
from front_door.answers import read_queries
from front_door.index_scores import hits
from tests.support.container import FAQ, minilm, write_weights

LONG = " ".join(f"Sentence {n} is about prices." for n in range(200))


def sent(*lines: object, first_line: int = 1) -> EntryLines:
    return EntryLines(first_line, [x if isinstance(x, str) else json.dumps(x) for x in lines])


@pytest.fixture(scope="module")
def encode(minilm_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("passages")
    config: ModelConfig = write_weights(minilm(), folder)
    passages = Passages(folder / "weights" / "tokenizer.json", config)
    model = {"query_prefix": "", "passage_prefix": ""}

    def lines(*given: object, ranking: str = "hybrid") -> list[dict]:
        encoder = EntryEncoder(minilm_encoder, passages, {"model": model, "ranking": ranking})
        return [json.loads(line) for line in encoder.lines(sent(*given))]

    return lines


def views_of(metadata: dict, dimension: int) -> np.ndarray:
    stored = b64decode(metadata["views"])
    scales = np.array(struct.unpack("<2f", stored[:8]))
    return np.frombuffer(stored[8:], np.int8).reshape(2, dimension) * scales[:, None]


def test_an_entry_is_the_mean_of_its_views(encode, minilm_encoder):
    (line,) = encode({"id": "1", "question": "What is R?", "answer": "A *language*.", "url": "u"})
    assert line["key"] == vector_index.vector_key("1")
    texts = ["What is R?", "A language.", "What is R? A language."]
    views = normalized(minilm_encoder.encode(texts))
    middle = views.mean(axis=0)
    metadata = line["metadata"]
    assert np.allclose(np.array(line["data"]["float32"]) * metadata["length"], middle, atol=1e-6)
    assert np.allclose(views_of(metadata, 384), views[:2], atol=2e-3)
    assert metadata["questions"] == ["What is R?"]
    assert metadata["answer"] == "A *language*."
    assert json.loads(metadata["fields"]) == {"url": "u"}
    counted = array.array("I", b64decode(metadata["terms"]))
    found = {number >> 8: number & 255 for number in counted}
    assert {entries.term_bits(term) for term in terms("What is R? A language.")} == found.keys()
    assert "category" not in metadata
    assert "passage" not in metadata


def test_an_entry_without_a_question_is_its_answer(encode, minilm_encoder):
    (line,) = encode({"id": "1", "answer": "A language.", "category": ["a", "b"]})
    expected = normalized(minilm_encoder.encode(["A language."]))[0]
    assert np.allclose(line["data"]["float32"], expected, atol=1e-6)
    assert line["metadata"]["category"] == ["a", "b"]
    assert not {"views", "length", "questions"} & line["metadata"].keys()


@pytest.mark.parametrize(("ranking", "texts"), [("answer", 1), ("question", 2), ("hybrid", 2)])
def test_further_questions_are_further_vectors(encode, ranking, texts):
    lines = encode({"id": "1", "questions": ["What?", "Which?"], "answer": "It."}, ranking=ranking)
    assert [line["key"] for line in lines] == [f"{n}/1" for n in range(texts)]
    assert len({str(line["data"]) for line in lines}) == texts
    assert all(("views" in line["metadata"]) == (ranking == "hybrid") for line in lines)


@pytest.mark.parametrize("question", [[], ["What does it cost?"]])
@pytest.mark.parametrize("ranking", ["answer", "hybrid"])
def test_long_answers_are_passages(encode, question, ranking):
    lines = encode({"id": "1", "questions": question, "answer": LONG}, ranking=ranking)
    passages = [line["metadata"]["passage"] for line in lines]
    assert len(lines) > 3
    assert passages[0].startswith("Sentence 0 ")
    assert passages[-1].endswith("Sentence 199 is about prices.")
    assert all(passage in LONG for passage in passages)
    assert all(line["metadata"]["answer"] == LONG for line in lines)


def test_what_is_no_entry_says_so_and_affects_no_other(encode):
    found = encode(
        {"id": "1", "answer": "One."},
        "{wrong",
        "",
        {"id": "2", "answer": "\u200b"},
        {"answer": "No id."},
        {"id": "1", "answer": "Again."},
        {"id": "3", "answer": "x" * 40_000},
        {"id": "4", "answer": "Four.", "category": "y" * 2_000},
        '{"id": "5", "answer": "\\ud800"}',
        {"id": "6", "answer": "Six."},
    )
    assert [line["key"] for line in found if "key" in line] == ["0/1", "0/6"]
    others = [json.dumps(line).encode() for line in found if "key" not in line]
    said = [vector_index.read_left_out(line) for line in others]
    assert [each.entry_id for each in said] == [None, "2", None, "1", "3", "4", "5"]
    assert [each.error for each in said] == [True, False, True, True, True, True, True]
    for each, part in zip(
        said,
        (
            *("corpus:2: not JSON", "no answer", "corpus:5: no id", "corpus:6: duplicate id '1'"),
            *("too large: its texts", "its categories have 2,", "half of a surrogate pair"),
        ),
        strict=True,
    ):
        assert part in each.reason


def test_lines_are_what_put_vectors_takes(service):
    corpus = [
        {"id": "a/b", "question": "Was ist das?", "answer": "Ein Ding.", "category": "c", "n": 1},
        {"id": "2", "answer": LONG},
    ]
    line = vector_index.entries_line([json.dumps(each).encode() for each in corpus], 1)
    answer = service.answer(line, "application/jsonlines").split(b"\n")
    assert all(each.startswith(vector_index.VECTOR_START) for each in answer)
    assert sum(each.startswith(vector_index.ENTRY_START) for each in answer) == len(corpus)
    vectors = [json.loads(each) for each in answer]
    session = botocore.session.get_session()
    model = session.get_service_model("s3vectors").operation_model("PutVectors").input_shape
    request = {"vectorBucketName": "b-u", "indexName": "i-1", "vectors": vectors}
    validate_parameters(request, model)
    configuration = vector_index.index_configuration(384)["metadataConfiguration"]
    for vector in vectors:
        filterable = vector["metadata"].keys() - configuration["nonFilterableMetadataKeys"]
        assert filterable <= {vector_index.CATEGORY}
        assert len(vector["data"]["float32"]) == 384
    expected = sum(vector_index.answer_bytes(len(json.dumps(each)), 384) for each in corpus)
    assert sum(map(len, answer)) < expected


def test_limits_are_those_of_the_contract():
    assert entries.MAX_METADATA_BYTES == vector_index.MAX_METADATA_BYTES
    assert entries.MAX_FILTERABLE_BYTES == vector_index.MAX_FILTERABLE_BYTES


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"lines": ["x"]}, "lines of a corpus have the fields lines and first_line"),
        ({"lines": ["x"], "first_line": 1, "id": 1}, "lines of a corpus have the fields"),
        ({"lines": ["x"], "first_line": True}, "first_line is true; send a whole number"),
        ({"lines": [{}], "first_line": 1}, "lines[0] is an object; send a string"),
        ({"lines": [], "first_line": 1}, "lines is empty"),
    ],
)
def test_lines_in_another_form_are_refused(service, line, error):
    answer = json.loads(service.answer(json.dumps(line), "application/jsonlines"))
    assert answer["id"] is None
    assert answer["error"].startswith(error)


def test_queries_come_as_vectors_and_terms(service, minilm_encoder):
    queries = ["What is R? Is it R?", "deploying"]
    body = json.dumps({"mode": "queries", "queries": queries, "request_id": "r"})
    answer = json.loads(service.answer(body, "application/json"))
    assert answer["bake_id"] == "bake-1"
    vectors = [np.frombuffer(b64decode(each), "<f4") for each in answer["vectors"]]
    assert np.allclose(vectors, normalized(minilm_encoder.encode(queries)), atol=1e-6)
    bits = [[entries.term_bits(term) for term in dict.fromkeys(terms(query))] for query in queries]
    assert answer["terms"] == bits


def test_scores_are_those_of_an_endpoint(service):
    corpus = [
        {"id": str(n), "question": question, "answer": answer}
        for n, (question, answer) in enumerate(FAQ)
    ]
    line = vector_index.entries_line([json.dumps(each).encode() for each in corpus], 1)
    stored = [
        json.loads(each) for each in service.answer(line, "application/jsonlines").split(b"\n")
    ]
    queries = ["Is R supported?", "price per second", "deployment", "quux"]
    body = json.dumps({"mode": "queries", "queries": queries})
    asked = read_queries(service.answer(body, "application/json"))
    for lexical in (True, False):
        request = {"mode": "search", "queries": queries, "top_k": 6, "lexical": lexical}
        answer = json.loads(service.answer(json.dumps(request), "application/json"))
        for expected, vector, terms_ in zip(
            answer["results"], asked["vectors"], asked["terms"], strict=True
        ):
            near = [
                {**each, "distance": 1 - float(np.dot(each["data"]["float32"], vector))}
                for each in stored
            ]
            found = hits(near, vector, terms_, lexical=lexical)
            scores = {each["id"]: each["score"] for each in found}
            assert scores == pytest.approx({e["id"]: e["score"] for e in expected}, abs=3e-3)
            assert found[0]["answer"] == expected[0]["answer"]
