"""The bake as a process: what it leaves behind when it works, fails and is stopped."""

from __future__ import annotations

import hashlib
import json
import re
import signal

import numpy as np
import pytest

from tests.support.container import (
    FAQ,
    REPOSITORY,
    BakeRun,
    faq_csv,
    minilm,
    write_code_archive,
    write_tiny_model,
)


def tiny_run(tmp_path, corpus=None, name="faq.csv"):
    write_tiny_model(tmp_path / "tiny")
    run = BakeRun(tmp_path / "ml", tmp_path / "tiny", corpus or faq_csv(), name)
    run.settings |= {"dimension": "32", "model_id": "tiny"}
    return run


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
    assert found["index"] == {"rows": len(FAQ), "dimension": 384}
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


@pytest.mark.parametrize(("embed", "rows"), [("answer", 1), ("question", 1), ("both", 2)])
def test_the_embedded_text_is_the_one_chosen(tmp_path, minilm_encoder, embed, rows):
    run = BakeRun(tmp_path / "ml", minilm(), faq_csv())
    status, output = run.run(embed=embed, query_prefix="query: ", passage_prefix="passage: ")
    assert status == 0, output
    embeddings = np.load(run.model / "index" / "embeddings.npy")
    assert embeddings.shape == (rows * len(FAQ), 384)
    texts = []
    for question, answer in FAQ:
        texts += [f"query: {question}"] if embed != "answer" else []
        texts += [f"passage: {answer}"] if embed != "question" else []
    np.testing.assert_allclose(embeddings, minilm_encoder.encode(texts), atol=1e-5)


def test_without_stored_text_nothing_of_the_corpus_is_in_the_artifact(tmp_path):
    run = tiny_run(tmp_path)
    status, output = run.run(store_text="false")
    assert status == 0, output
    lines = (run.model / "index" / "entries.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"id": str(n)} for n in range(len(FAQ))]
    everything = b"".join(path.read_bytes() for path in run.model.rglob("*.json*"))
    for question, answer in FAQ[1:]:
        assert question.encode() not in everything
        assert answer.encode() not in everything


def test_progress_is_told(tmp_path):
    corpus = "".join(f'"question {n}","answer {n}"\n' for n in range(300)).encode()
    run = tiny_run(tmp_path, corpus)
    status, output = run.run(batch_size="4")
    assert status == 0, output
    assert re.search(r"encoded 300 of 300 \(100 %\), [\d,]+ texts/s", output)
    assert manifest(run)["corpus"]["entries"] == 300
    assert np.load(run.model / "index" / "embeddings.npy").shape == (300, 32)


def test_json_lines_keep_their_ids(tmp_path):
    corpus = b'{"id":"x-1","text":"hello"}\n{"id":"x-2","text":"world"}\n'
    run = tiny_run(tmp_path, corpus, "c.jsonl")
    status, output = run.run()
    assert status == 0, output
    first = (run.model / "index" / "entries.jsonl").read_text().splitlines()[0]
    assert json.loads(first) == {"id": "x-1", "question": None, "answer": "hello"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corpus_sha256": "0" * 64}, "The corpus is not the one that was asked for"),
        ({"dimension": "384"}, "dimension is 32; the settings say 384"),
        (
            {"batch_size": "0", "embed": "title", "store_text": "yes"},
            "batch_size is '0'; allowed is a whole number 1 to 4096; store_text is 'yes'",
        ),
        ({"max_seq_length": "65"}, "max_seq_length is 65; this model takes 3 to 64 tokens"),
        ({"max_seq_length": "many"}, "max_seq_length is 'many'"),
        ({"bake_id": ""}, "bake_id is missing"),
    ],
)
def test_a_wrong_setting_fails_with_a_sentence(tmp_path, changes, words):
    run = tiny_run(tmp_path)
    status, output = run.run(**changes)
    assert status == 1, output
    assert words in run.failure
    assert not run.model.exists() or not list(run.model.iterdir())
    assert not list(run.base.glob("scratch-*"))
    assert "Traceback" not in output


def test_a_faulty_corpus_fails_with_its_faults(tmp_path):
    run = tiny_run(tmp_path, b'"one","two"\n"three",""\n')
    status, _ = run.run()
    assert status == 1
    assert run.failure.startswith("faq.csv:2: ")


def test_many_faults_fit_the_failure_reason(tmp_path):
    run = tiny_run(tmp_path, b'"one","two"\n' + b'"three",""\n' * 500)
    status, _ = run.run()
    assert status == 1
    assert len(run.failure) <= 1024
    assert run.failure.endswith(" ...")


def test_a_corpus_beyond_memory_points_to_batch_transform(tmp_path):
    corpus = "".join(f'"q {n}","a {n}"\n' for n in range(20_000)).encode()
    run = tiny_run(tmp_path, corpus)
    # No machine has room for 2 x 20,000 vectors of what a test's limit leaves.
    machine = "def available_cpus(): return 1\ndef total_memory(): return 1_000_000\n"
    write_code_archive(run.archive, {"container/machine.py": machine})
    status, _ = run.run(embed="both")
    assert status == 1
    assert "The corpus is too large: 20,000 entries" in run.failure
    assert "batch transform" in run.failure


def test_an_unforeseen_failure_is_told_with_its_trace_in_the_log(tmp_path):
    run = tiny_run(tmp_path)
    probes = "def make_probes(*_): raise OSError('no room')\n"
    write_code_archive(run.archive, {"container/bake/probes.py": probes})
    status, output = run.run()
    assert status == 1
    assert run.failure.startswith("The bake failed unexpectedly (OSError: no room).")
    assert "Traceback" in output
    assert not list(run.model.glob("*"))


def test_stopped_it_leaves_the_model_folder_empty(tmp_path):
    corpus = "".join(f'"q {n}","{"answer " * 60} {n}"\n' for n in range(20_000)).encode()
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


def test_a_failure_at_the_very_end_leaves_the_model_folder_empty(tmp_path):
    run = tiny_run(tmp_path)
    source = (REPOSITORY / "container" / "bake" / "job.py").read_text("utf-8")
    line = "        _move(artifact, paths.model)\n"
    assert line in source
    failing = source.replace(line, f"{line}        raise OSError('the disk is full')\n")
    write_code_archive(run.archive, {"container/bake/job.py": failing})
    status, _ = run.run()
    assert status == 1
    assert "the disk is full" in run.failure
    assert not list(run.model.iterdir())
