"""Nothing is served from an artifact of which anything but the code has changed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from container.artifact import MANIFEST, sealed
from container.encoder import load
from container.errors import LoadError
from container.serving.service import Service
from tests.support.container import BakeRun, write_tiny_model
from tests.support.encoder import CountingEncoder

CORPUS = [
    {"id": "a", "question": ["why", "how", "what"], "answer": "hello world", "category": "x"},
    {"id": "b", "question": "when", "answer": "hello", "category": ["x", "y"]},
    {"id": "c", "question": "who", "answer": "hello"},
    {"id": "d", "question": "where", "answer": "world"},
]
VECTORS = ("index/embeddings.npy", "index/extra_question.npy", "index/dense.npy")
FILES = (
    MANIFEST,
    "weights/config.json",
    "weights/model.safetensors",
    "weights/tokenizer.json",
    "index/entries.jsonl",
    *(
        f"index/{name}.npy"
        for name in (
            *("embeddings", "offsets", "same_answer", "category_keys", "category_entries"),
            *("terms", "term_idf", "term_starts", "term_dense", "dense"),
            *("posting_entries", "posting_weights"),
            *(f"extra_{view}" for view in ("answer", "question", "both")),
            *(f"extra_{view}_owners" for view in ("answer", "question", "both")),
        )
    ),
)


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder / "tiny")
    corpus = "".join(json.dumps(entry) + "\n" for entry in CORPUS).encode()
    run = BakeRun(
        *(folder / "ml", folder / "tiny", corpus, "faq.jsonl"), dimension="32", model_id="tiny"
    )
    assert run.run_here() == 0, run.failure
    return run.model


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return CountingEncoder(tmp_path_factory.mktemp("counting"))


@pytest.fixture
def artifact(tmp_path, baked, encoder, monkeypatch):
    """A copy, with an encoder that reads no weights, so that it notices no damage itself."""
    monkeypatch.setattr(load, "open_encoder", lambda *_, **__: encoder)
    return shutil.copytree(baked, tmp_path / "model")


def test_all_files_are_damaged_here(artifact):
    served = [path.relative_to(artifact) for path in artifact.rglob("*") if path.is_file()]
    assert {str(path) for path in served if path.parts[0] != "code"} == set(FILES)
    Service.open(artifact, "bake-1")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def zero(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def grow(file: Path) -> None:
    with file.open("ab") as end:
        end.write(b"\n")


def rename(file: Path) -> None:
    file.rename(file.with_name(f"{file.name}.old"))


# White space after the manifest says nothing else, so it may grow.
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (name, damage)
        for name in FILES
        for damage in (flip, truncate, zero, Path.unlink, rename, grow)
        if (name, damage) != (MANIFEST, grow)
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_served(artifact, name, damage):
    if (name, damage) == (MANIFEST, truncate):
        truncate(artifact / name)  # its end of line
    damage(artifact / name)
    with pytest.raises(LoadError, match=re.escape(name)):
        Service.open(artifact, "bake-1")


def changed(file: Path, change) -> None:
    rows = np.load(file, mmap_mode="r+")
    before = rows.copy()
    change(rows.reshape(-1, rows.shape[-1]))
    assert not np.array_equal(rows, before)
    rows.flush()


def shuffle(rows) -> None:
    rows[:] = rows[::-1].copy()


def scale(rows) -> None:
    rows *= 2


def spoil(rows) -> None:
    rows[0, 0] = np.nan


@pytest.mark.parametrize("change", [shuffle, scale, spoil])
@pytest.mark.parametrize("name", VECTORS)
def test_rows_that_changed_are_not_served(artifact, name, change):
    changed(artifact / name, change)
    with pytest.raises(LoadError, match=f"{name} is not the file that the manifest names"):
        Service.open(artifact, "bake-1")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("index/same_answer.npy", "index/category_entries.npy"),
        ("index/posting_entries.npy", "index/posting_weights.npy"),
        ("weights/config.json", "weights/tokenizer.json"),
    ],
)
def test_files_that_changed_places_are_not_served(artifact, one, other):
    one, other, between = artifact / one, artifact / other, artifact / "between"
    one.rename(between)
    other.rename(one)
    between.rename(other)
    with pytest.raises(LoadError, match=r"is not the file that the manifest names"):
        Service.open(artifact, "bake-1")


def test_a_text_that_changed_is_not_served(artifact):
    entries = artifact / "index" / "entries.jsonl"
    entries.write_bytes(entries.read_bytes().replace(b"world", b"xorld"))
    with pytest.raises(LoadError, match=r"index/entries\.jsonl is not the file"):
        Service.open(artifact, "bake-1")


# transformers would add such an adapter to the model.
@pytest.mark.parametrize("name", ["weights/adapter_config.json", "index/more/more.npy"])
def test_a_file_more_is_not_served(artifact, name):
    (artifact / name).parent.mkdir(exist_ok=True)
    (artifact / name).write_text("{}")
    with pytest.raises(LoadError, match=f"{name} is not in the manifest"):
        Service.open(artifact, "bake-1")


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["model"].update(pooling="cls"),
        lambda m: m["model"].update(query_prefix="query: "),
        lambda m: m.update(ranking="question"),
        lambda m: m["probes"][0].update(ids=["b", "a", "c"]),
        lambda m: m["files"].update({"index/dense.npy": "0" * 64}),
        lambda m: m["files"].pop("index/dense.npy"),
    ],
)
def test_a_manifest_that_changed_is_not_served(artifact, change):
    file = artifact / MANIFEST
    manifest = json.loads(file.read_text("utf-8"))
    change(manifest)
    file.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(LoadError, match="is not as the bake wrote it"):
        Service.open(artifact, "bake-1")


def test_an_artifact_from_before_the_hashes_is_not_served_by_this_code(artifact):
    file = artifact / MANIFEST
    manifest = sealed(json.loads(file.read_text("utf-8")))
    del manifest["sha256"], manifest["files"]
    file.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(LoadError, match=r"earlier version of this app.*; deploy again"):
        Service.open(artifact, "bake-1")
