"""The endpoint's whole contract over HTTP, from the real server."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.reference.model_server import JSON, SERVERS, ModelServer, ask


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS)
def server(sample_run, request):
    with ModelServer(sample_run.base, BAKE_ID="bake-1", **request.param) as running:
        running.wait_until_up()
        yield running


def test_embedding(server):
    texts = ["How cute your dog is!", "Привет 🎉"]
    plain = ask(server, texts)["embedding"]
    assert [len(vector) for vector in plain] == [384, 384]
    assert plain == ask(server, {"text_inputs": texts, "mode": "embedding"})["embedding"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",  # arrives as str
        "application/json; charset=utf-8",  # arrives as bytearray
        "application/x-text",
        None,
    ],
)
def test_bodies_as_the_server_hands_them_over(server, content_type):
    answer = ask(server, ["Привет"], content_type)
    assert len(answer["embedding"]) == 1


def test_nearest_in_a_supplied_corpus(server):
    body = {"corpus": ["a dog", "a cell"], "queries": ["dog", "cell"], "top_k": 2}
    answer = ask(server, body | {"mode": "nn_corpus"})
    assert [[match["corpus_id"] for match in matches] for matches in answer] == [[0, 1], [1, 0]]


def test_nearest_in_the_baked_corpus(server):
    body = {"queries": ["What is Amazon SageMaker?"], "top_k": 3, "mode": "nn_train_data"}
    ((first, *_),) = ask(server, body)
    assert (set(first), first["id"]) == ({"id", "score"}, "0")
    ((with_text, *_),) = ask(server, body | {"return_text": True})
    answer = ask(server, body | {"mode": "search"})
    ((found, *_),) = answer["results"]
    assert (answer["bake_id"], found["question"]) == ("bake-1", "What is Amazon SageMaker?")
    assert found["answer"] == with_text["text"]


def test_info(server, artifact):
    answer = ask(server, {"mode": "info"})
    manifest = json.loads((artifact / "bake-manifest.json").read_text("utf-8"))
    assert answer["bake_id"] == manifest["bake_id"] == "bake-1"
    assert answer["probes"] == manifest["probes"]
    assert answer["device"] == "cpu"


def test_probes_are_repeated(server, artifact):
    manifest = json.loads((artifact / "bake-manifest.json").read_text("utf-8"))
    for probe in manifest["probes"]:
        body = {"queries": [probe["query"]], "top_k": len(probe["ids"]), "mode": "search"}
        (matches,) = ask(server, body)["results"]
        assert [match["id"] for match in matches] == probe["ids"]
        scores = [match["score"] for match in matches]
        assert scores == pytest.approx(probe["scores"], abs=1e-5)


def test_a_batch_of_lines(server):
    lines = b'{"id": 1, "text_inputs": "one"}\n{"id": 2}\n{"id": "c", "text_inputs": "three"}\n'
    answer = server.invoke(lines, "application/jsonlines", "text/csv")
    assert (answer.status, answer.content_type) == (200, "text/csv")
    first, second, third = (json.loads(line) for line in answer.text.split("\n"))
    assert (first["id"], len(first["embedding"])) == (1, 384)
    assert second == {"id": 2, "error": "text_inputs is null; send a string"}
    assert (third["id"], len(third["embedding"])) == ("c", 384)


def test_a_group_of_records(server):
    group = {"records": [{"id": n, "text_inputs": f"text {n}"} for n in range(256)] + [{"id": 256}]}
    lines = json.dumps(group).encode() + b'\n{"id": 257, "text_inputs": "alone"}'
    answer = server.invoke(lines, "application/jsonlines", "application/jsonlines")
    assert (answer.status, answer.content_type) == (200, "application/jsonlines")
    found = [json.loads(line) for line in answer.text.split("\n")]
    assert [record["id"] for record in found] == list(range(258))
    assert [record["id"] for record in found if "error" in record] == [256]


def test_a_request_is_one_line_of_the_log(server):
    body = {"text_inputs": ["a secret text"], "request_id": "request-of-this-test"}
    ask(server, body)
    server.wait(lambda: '"request-of-this-test"' in server.log, "the request's line")
    (line,) = (line for line in server.log.splitlines() if '"request-of-this-test"' in line)
    prefix, _, logged = line.partition("{")
    assert prefix.endswith("com.amazonaws.ml.mms.wlm.WorkerLifeCycle - ")
    written = json.loads("{" + logged)
    assert (written["message"], written["mode"], written["texts"]) == ("answered", "embedding", 1)
    assert "a secret text" not in server.log


@pytest.mark.parametrize(
    ("body", "content_type", "sentence"),
    [
        (b"[]", JSON, "list is empty; send at least one text"),
        (b'{"mode": "nn_train_data"}', JSON, "queries is missing; send a list of texts"),
        (b'["\xff"]', "application/x-text", "the body is not UTF-8"),
        (b"a,b", "text/csv", "the content type 'text/csv' is not accepted"),
    ],
)
def test_a_wrong_request(server, body, content_type, sentence):
    answer = server.invoke(body, content_type)
    assert answer.status == 400
    error = json.loads(answer.text)
    assert error["code"] == 400
    assert error["message"].startswith(f"invalid_request: {sentence}")
    assert server.ping() == 200


def test_work_ends_with_the_callers_time(server):
    """The server hands the content type on, with what the front door says in it."""
    gone = f"{JSON}; deadline={time.time() - 5:.3f}"
    answer = server.invoke(b'["a"]', gone)
    assert answer.status == 400
    assert json.loads(answer.text)["message"].startswith("time_out: ")
    soon = f"{JSON}; deadline={time.time() + 1:.3f}; large=true"
    began = time.monotonic()
    answer = server.invoke(json.dumps(["word " * 300] * 4_000).encode(), soon)
    assert json.loads(answer.text)["message"].startswith("time_out: ")
    assert time.monotonic() - began < 20, "all of them would take a minute"
    assert ask(server, ["a"], f"{JSON}; deadline={time.time() + 30:.3f}; large=true")


def test_too_large_an_answer_is_refused_and_the_worker_survives(server):
    """Without our limit the server would answer 500 and restart the worker."""
    answer = server.invoke(json.dumps(["a"] * 2000).encode(), JSON)
    assert answer.status == 400
    assert "at most 6,553,500 can be sent" in json.loads(answer.text)["message"]
    assert ask(server, ["a"])
    assert "Artifact opened" not in server.log.split("at most 6,553,500")[-1]


def test_callers_at_the_same_time_get_their_own_answers(server):
    """Including one whose texts fill many batches."""
    sizes = {"dog": 1, "city": 9, "paint": 300, "notebook": 2, "price": 40, "cat": 1}
    bodies = [[f"{word} number {n}" for n in range(size)] for word, size in sizes.items()]
    expected = [ask(server, body)["embedding"] for body in bodies]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: ask(server, body)["embedding"], bodies * 3))
    for answer, alone in zip(answers, expected * 3, strict=True):
        np.testing.assert_allclose(answer, alone, atol=1e-5)
