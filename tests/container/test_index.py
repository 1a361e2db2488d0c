"""The index's files, and searching them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from container.errors import LoadError
from container.search.index import Index, IndexWriter


def write(folder, vectors, per_entry=1, entries=None):
    count = len(vectors) // per_entry
    entries = entries or [{"id": f"n{number}", "answer": "é" * number} for number in range(count)]
    with IndexWriter(folder, count, vectors.shape[1], per_entry) as writer:
        half = count // 2
        writer.add(entries[:half], vectors[: half * per_entry])
        writer.add(entries[half:], vectors[half * per_entry :])
    return entries


def test_entries_are_read_back_in_any_order(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    entries = write(tmp_path / "index", vectors)
    index = Index(tmp_path / "index", 9, 4)
    assert len(index) == 9
    for position in (8, 0, 4, 4):
        assert index.entry(position) == entries[position]
    np.testing.assert_allclose(np.linalg.norm(index.rows, axis=1), 1, atol=1e-6)


def test_an_entry_scores_by_its_better_vector(tmp_path):
    vectors = np.array([[1, 0], [0, 1], [1, 1], [1, 1.1]], dtype=np.float32)
    write(tmp_path / "index", vectors, per_entry=2)
    index = Index(tmp_path / "index", 2, 2)
    (matches,) = index.search(np.array([[0, 5]], dtype=np.float32), 5)
    assert [match.position for match in matches] == [0, 1]
    assert matches[0].score == pytest.approx(1)
    assert matches[1].score == pytest.approx(1.1 / np.hypot(1, 1.1))


def test_rows_stay_on_disk_until_they_are_used(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    write(tmp_path / "index", vectors)
    index = Index(tmp_path / "index", 50, 4)
    mapped = index.rows
    while mapped.base is not None and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    assert isinstance(mapped, np.memmap)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda folder: (folder / "embeddings.npy").unlink(), "cannot be read"),
        (lambda folder: (folder / "embeddings.npy").write_bytes(b"x" * 200), "cannot be read"),
        (lambda folder: cut(folder / "embeddings.npy"), "cannot be read"),
        (lambda folder: np.save(folder / "embeddings.npy", np.zeros((5, 4))), "float64"),
        (lambda folder: np.save(folder / "embeddings.npy", np.zeros((5, 3), "f4")), r"\[5, 3\]"),
        (lambda folder: np.save(folder / "embeddings.npy", np.zeros((4, 4), "f4")), r"\[4, 4\]"),
        (lambda folder: cut(folder / "entries.jsonl"), "do not fit"),
        (lambda folder: (folder / "entries.jsonl").write_bytes(b""), "cannot be read"),
        (lambda folder: np.save(folder / "offsets.npy", np.zeros(3, "i8")), "do not fit"),
    ],
)
def test_a_broken_index_is_refused(tmp_path, damage, word):
    folder = tmp_path / "index"
    write(folder, np.ones((5, 4), dtype=np.float32))
    damage(folder)
    with pytest.raises(LoadError, match=word):
        Index(folder, 5, 4)


def cut(file):
    content = file.read_bytes()
    file.write_bytes(content[:-3])


def test_stored_lines_are_plain_json(tmp_path):
    write(tmp_path / "index", np.ones((2, 4), dtype=np.float32), entries=[{"id": "ж"}, {"id": "2"}])
    lines = (tmp_path / "index" / "entries.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["ж", "2"]
    assert "ж" in lines[0]
