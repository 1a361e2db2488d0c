"""The bake: what it leaves behind when it succeeds, fails and is stopped."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors import SafetensorError

from container.bake import encode_corpus, job
from container.encoder.cpu import OpenVinoEncoder
from container.errors import InvalidRequestError
from container.serving.service import Service
from tests.support.container import FAQ, BakeRun, faq_csv, minilm


def files(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def manifest(run):
    return json.loads((run.model / "bake-manifest.json").read_text("utf-8"))


def test_the_artifact_holds_everything_that_serves(baked):
    found = files(baked)
    for name in (
        "bake-manifest.json",
        "weights/config.json",
        "weights/tokenizer.json",
        "weights/model.safetensors",
        "index/embeddings.npy",
        "index/entries.jsonl",
        "index/offsets.npy",
        "code/inference.py",
        "code/container/serving/service.py",
        "code/corpus/reader.py",
        "code/vendor/vendored_example/__init__.py",
    ):
        assert name in found
    # multi-model-server would take it for its own and stop.
    assert not [name for name in found if name.lower().endswith("/manifest.json")]
    assert "manifest.json" not in found
    assert not [name for name in found if "__pycache__" in name]


def test_without_a_corpus_the_artifact_only_embeds(tiny_run):
    run = tiny_run()
    shutil.rmtree(run.base / "input" / "data" / "corpus")
    del run.settings["corpus_sha256"]
    assert run.run_here(query_prefix="query: ") == 0
    found = manifest(run)
    assert not (run.model / "index").exists()
    assert not {"corpus", "index"} & found.keys()
    service = Service.open(run.model, "bake-1")
    embedded = {"text_inputs": [f"query: {probe['query']}" for probe in found["probes"]]}
    vectors = json.loads(service.answer(json.dumps(embedded), "application/json"))["embedding"]
    assert np.array(vectors) == pytest.approx(
        np.array([probe["embedding"] for probe in found["probes"]]), abs=1e-6
    )
    for mode in ("search", "nn_train_data"):
        with pytest.raises(InvalidRequestError, match="holds no corpus"):
            service.answer(json.dumps({"queries": ["a"], "mode": mode}), "application/json")


def test_the_manifest_says_what_was_baked(baked):
    found = json.loads((baked / "bake-manifest.json").read_text("utf-8"))
    corpus = faq_csv()
    assert found["bake_id"] == "bake-1"
    assert found["corpus"] == {
        "sha256": hashlib.sha256(corpus).hexdigest(),
        "entries": len(FAQ),
        "bytes": len(corpus),
    }
    assert found["model"] | {"pooling_source": ""} == {
        "id": "huggingface-sentencesimilarity-all-MiniLM-L6-v2",
        "version": "2.1.0",
        "family": "bert",
        "dimension": 384,
        "pooling": "mean",
        "pooling_source": "",
        "normalize": True,
        "max_seq_length": 256,
        "lower_case": False,
        "precision": "fp32",
        "query_prefix": "",
        "passage_prefix": "",
    }
    assert found["model"]["pooling_source"] == "1_Pooling/config.json"
    assert found["ranking"] == "hybrid"
    assert found["index"] == {"rows": 3 * len(FAQ), "dimension": 384}
    assert found["weights_source"]["model.safetensors"].startswith("53aa51172d142c89d9012cce")
    assert set(found["libraries"]) >= {"python", "numpy", "openvino", "tokenizers"}
    for probe in found["probes"]:
        assert len(probe["ids"]) == len(probe["scores"]) == 3
        assert probe["scores"] == sorted(probe["scores"], reverse=True)
    queries = {probe["query"]: probe["ids"] for probe in found["probes"]}
    assert queries[FAQ[0][0]][0] == "0"
    assert len(queries) == 7


def test_the_same_inputs_give_the_same_bytes(tmp_path, baked):
    run = BakeRun(tmp_path / "again", minilm(), faq_csv())
    status, output = run.run()
    assert status == 0, output
    assert files(run.model) == files(baked)


@pytest.mark.parametrize(("ranking", "views"), [("answer", 1), ("question", 2), ("hybrid", 3)])
def test_the_embedded_texts_are_those_of_the_ranking(tmp_path, minilm_encoder, ranking, views):
    run = BakeRun(tmp_path / "ml", minilm(), faq_csv())
    assert run.run_here(ranking=ranking, query_prefix="query: ", passage_prefix="passage: ") == 0
    embeddings = np.load(run.model / "index" / "embeddings.npy")
    texts = [
        [f"passage: {answer}" for _, answer in FAQ],
        [f"query: {question}" for question, _ in FAQ],
        [f"passage: {question} {answer}" for question, answer in FAQ],
    ][:views]
    expected = [minilm_encoder.encode(each) for each in texts]
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)


def test_without_stored_text_nothing_of_the_corpus_is_in_the_artifact(tiny_run):
    run = tiny_run()
    assert run.run_here(store_text="false") == 0
    lines = (run.model / "index" / "entries.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"id": str(n)} for n in range(len(FAQ))]
    everything = b"".join(path.read_bytes() for path in run.model.rglob("*.json*"))
    for question, answer in FAQ[1:]:
        assert question.encode() not in everything
        assert answer.encode() not in everything


def test_progress_is_printed(tiny_run, capsys):
    run = tiny_run("".join(f'"question {n}","answer {n}"\n' for n in range(300)).encode())
    assert run.run_here(batch_size="4") == 0
    output = capsys.readouterr().out
    assert re.search(r"encoded 300 of 300 \(100 %\), [\d,]+ texts/s", output)
    assert manifest(run)["corpus"]["entries"] == 300
    assert np.load(run.model / "index" / "embeddings.npy").shape == (3, 300, 32)


def test_json_lines_keep_their_ids(tiny_run):
    corpus = b'{"id":"x-1","text":"hello"}\n{"id":"x-2","text":"world"}\n'
    run = tiny_run(corpus, "c.jsonl")
    assert run.run_here() == 0
    first = (run.model / "index" / "entries.jsonl").read_text().splitlines()[0]
    assert json.loads(first) == {"id": "x-1", "question": None, "answer": "hello"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corpus_sha256": "0" * 64}, "The corpus is not the one that was asked for"),
        ({"dimension": "384"}, "dimension is 32; the settings say 384"),
        (
            {"batch_size": "0", "ranking": "title", "store_text": "yes"},
            "batch_size is '0'; allowed is a whole number from 1 to 4096; store_text is 'yes'",
        ),
        ({"max_seq_length": "65"}, "max_seq_length is 65; this model takes 3 to 64 tokens"),
        ({"max_seq_length": "many"}, "max_seq_length is 'many'"),
        ({"bake_id": ""}, "bake_id is missing"),
    ],
)
def test_a_wrong_setting_fails_with_a_sentence(tiny_run, capfd, changes, words):
    run = tiny_run()
    assert run.run_here(**changes) == 1
    assert words in run.failure
    assert not run.model.exists() or not list(run.model.iterdir())
    assert not list(run.base.glob("scratch-*"))
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("rows", [1, 500])
def test_a_wrong_corpus_fails_with_the_rows_that_are_wrong(tiny_run, rows):
    run = tiny_run(b'"one","two"\n' + b'"three"\n' * rows)
    assert run.run_here() == 1
    assert run.failure.startswith("faq.csv:2: ")
    assert len(run.failure) <= 1024
    assert run.failure.endswith(" ...") == (rows > 20)


def test_a_corpus_beyond_memory_points_to_batch_transform(tiny_run, monkeypatch):
    monkeypatch.setattr(encode_corpus, "total_memory", lambda: 1_000_000)
    run = tiny_run("".join(f'"q {n}","a {n}"\n' for n in range(20_000)).encode())
    assert run.run_here() == 1
    assert "The corpus is too large: 20,000 entries" in run.failure
    assert "batch transform" in run.failure


def test_a_corpus_beyond_the_disk_points_to_its_setting(tiny_run, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    run = tiny_run("".join(f'"q {n}","a {n}"\n' for n in range(20_000)).encode())
    assert run.run_here() == 1
    assert "this instance has 0.0 GB of free disk. Set a larger bake.volume_size_gb" in run.failure


@pytest.mark.parametrize(
    ("error", "free"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1 << 30),
        (SafetensorError("Error: No space left on device (os error 28)"), 1 << 30),
        # numpy's, which does not say why.
        (OSError("100000 requested and 0 written"), 4096),
    ],
    ids=["system", "safetensors", "numpy"],
)
def test_a_disk_that_is_full_is_reported_with_its_setting(tiny_run, monkeypatch, error, free):
    def fail(*_, **__):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        raise error

    monkeypatch.setattr(job, "make_manifest", fail)
    run = tiny_run()
    assert run.run_here() == 1
    assert run.failure.startswith("The disk is full. Set a larger bake.volume_size_gb;")
    assert not list(run.model.glob("*"))


def test_vectors_that_are_not_finite_fail_the_bake(tiny_run, monkeypatch):
    """They would spoil what is found from then on, with hashes that agree."""

    def broken(_encoder, tokens):
        return np.full((len(tokens), 32), np.nan, dtype=np.float32)

    monkeypatch.setattr(OpenVinoEncoder, "forward", broken)
    run = tiny_run()
    assert run.run_here() == 1
    assert run.failure.startswith("The model gave a vector that is not finite for one of the")


def test_an_unexpected_error_is_reported_with_its_traceback_in_the_log(
    tiny_run, monkeypatch, capfd
):
    def fail(*_, **__):
        raise OSError("no room")

    monkeypatch.setattr(job, "make_manifest", fail)
    run = tiny_run()
    assert run.run_here() == 1
    assert run.failure.startswith("The bake failed unexpectedly (OSError: no room).")
    assert "Traceback" in capfd.readouterr().err
    assert not list(run.model.glob("*"))


def test_stopped_it_leaves_the_model_folder_empty(tmp_path):
    corpus = "".join(f'"q {n}","{"answer " * 60} {n}"\n' for n in range(5000)).encode()
    run = BakeRun(tmp_path / "ml", minilm(), corpus)
    run.model.mkdir()
    process = run.start(batch_size="4")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("encoded"):
            break
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Stopped" in output
    assert not list(run.model.iterdir())
    assert not list(run.base.glob("scratch-*"))
    assert not (run.base / "output" / "failure").exists()


def test_an_error_at_the_very_end_leaves_the_model_folder_empty(tiny_run, monkeypatch):
    move = shutil.move

    def move_and_fail(part, target):
        move(part, target)
        if target.name == "bake-manifest.json":
            raise OSError("the disk is full")

    monkeypatch.setattr(shutil, "move", move_and_fail)
    run = tiny_run()
    assert run.run_here() == 1
    assert "the disk is full" in run.failure
    assert not list(run.model.iterdir())
