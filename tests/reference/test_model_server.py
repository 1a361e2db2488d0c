"""The whole contract over HTTP from the real server, and what it does when a load fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.reference.model_server import ModelServer

JSON = "application/json"
# One worker with the model in it; several that share an encoder process, loaded one by one, as
# with a GPU; the same, forked from a process that has loaded.
SERVERS = {
    "one worker": {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
    "workers": {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"},
    "workers, preloaded": {"SAGEMAKER_MODEL_SERVER_WORKERS": "8", "MMS_PRELOAD_MODEL": "true"},
}
SEVERAL = [SERVERS["workers"], SERVERS["workers, preloaded"]]
ENCODER = "container.encoder_process"


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS)
def server(sample_run, request):
    with ModelServer(sample_run.base, BAKE_ID="bake-1", **request.param) as running:
        running.wait_for_ping()
        yield running


def ask(server, body, content_type=JSON, accept=None):
    answer = server.invoke(json.dumps(body).encode(), content_type, accept)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


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
        body = {"queries": [probe["query"]], "top_k": 3, "mode": "nn_train_data"}
        (matches,) = ask(server, body)
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


def test_an_answer_too_large_is_refused_and_the_worker_lives_on(server):
    """Unguarded, the server would answer 500 and restart the worker."""
    answer = server.invoke(json.dumps(["a"] * 2000).encode(), JSON)
    assert answer.status == 400
    assert "at most 6,553,500 can be sent" in json.loads(answer.text)["message"]
    assert ask(server, ["a"])
    assert "Artifact opened" not in server.log.split("at most 6,553,500")[-1]


def test_callers_at_the_same_time_get_their_own_answers(server):
    """Also one whose texts fill many batches."""
    sizes = {"dog": 1, "city": 9, "paint": 300, "notebook": 2, "price": 40, "cat": 1}
    bodies = [[f"{word} number {n}" for n in range(size)] for word, size in sizes.items()]
    expected = [ask(server, body)["embedding"] for body in bodies]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: ask(server, body)["embedding"], bodies * 3))
    for answer, alone in zip(answers, expected * 3, strict=True):
        np.testing.assert_allclose(answer, alone, atol=1e-5)


def flip_last_byte(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def assert_server_ends(server, words):
    """The ping may answer while the worker loads; then nothing may answer any more."""
    server.wait(lambda: "Ending the server" in server.log, "the load to fail")
    assert words in server.log
    server.wait(lambda: server.ping() is None, "the ping to stop", seconds=5)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert server.ping() is None
        time.sleep(0.2)


@pytest.mark.parametrize("workers", SERVERS.values(), ids=SERVERS)
def test_an_artifact_of_another_bake_ends_the_server(sample_run, workers):
    with ModelServer(sample_run.base, BAKE_ID="bake-2", **workers) as server:
        assert_server_ends(server, "the artifact is of bake bake-1; the Model names bake bake-2")


@pytest.mark.parametrize("workers", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda model: flip_last_byte(model / "weights" / "model.safetensors"),
            "weights/model.safetensors is not the file that the manifest names",
        ),
        (lambda model: (model / "code" / "container" / "index.py").unlink(), "ModuleNotFoundError"),
    ],
)
def test_a_broken_artifact_ends_the_server(artifact, tmp_path, damage, words, workers):
    shutil.copytree(artifact, tmp_path / "model")
    damage(tmp_path / "model")
    with ModelServer(tmp_path, BAKE_ID="bake-1", **workers) as server:
        assert_server_ends(server, words)


@pytest.mark.parametrize("workers", SEVERAL, ids=["loaded one by one", "preloaded"])
def test_a_lost_encoder_process_ends_the_server(sample_run, workers):
    """As when it is killed for its memory: SageMaker then starts another container."""
    with ModelServer(sample_run.base, BAKE_ID="bake-1", **workers) as server:
        server.wait_for_ping()
        assert ask(server, ["a"])
        (encoder,) = server.processes(ENCODER)
        os.kill(encoder, signal.SIGKILL)
        assert_server_ends(server, "the encoder process has ended")


@pytest.mark.parametrize("workers", SEVERAL, ids=["loaded one by one", "preloaded"])
def test_the_encoder_process_ends_with_the_server(sample_run, workers):
    with ModelServer(sample_run.base, BAKE_ID="bake-1", **workers) as server:
        server.wait_for_ping()
        assert ask(server, ["a"])
        (java,) = server.processes("com.amazonaws.ml.mms.ModelServer")
        os.kill(java, signal.SIGKILL)
        server.wait(lambda: not server.processes(ENCODER), "the encoder to end", seconds=10)
        server.wait(lambda: server.ping() is None, "the ping to stop", seconds=5)


def test_a_load_failure_alone_would_leave_the_ping_at_200(tmp_path):
    """Why a failed load has to end the server."""
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(
        "def model_fn(model_dir):\n    raise RuntimeError('broken artifact')\n"
        "def transform_fn(model, data, content_type, accept):\n    return '{}'\n"
    )
    with ModelServer(tmp_path) as server:
        server.wait_for_ping()
        answer = server.invoke(b"{}", JSON)
        assert answer.status == 400
        assert json.loads(answer.text)["message"] == "broken artifact"
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert server.ping() == 200
            time.sleep(0.2)
