"""The index's files, and searching them: every ranking against a plain computation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from container.errors import LoadError
from container.search import index as index_module
from container.search import nearest as nearest_module
from container.search.index import Index
from container.search.terms import terms
from container.search.texts import lexical_text
from container.search.views import SEARCHED, VIEWS
from corpus.reader import Entry
from tests.support.container import write_index

WORDS = ["red", "green", "blueish", "blueing", "notebook", "price", "端点部署"]


def entries_of(count):
    return [Entry(f"n{number}", (), "é" * number + "a") for number in range(count)]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_entries_are_read_back_in_any_order(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(1, 9, 4)).astype(np.float32)
    index = write_index(tmp_path / "index", entries_of(9), vectors)
    assert len(index) == 9
    for position in (8, 0, 4, 4):
        assert index.entry(position) == {
            "id": f"n{position}",
            "question": None,
            "answer": "é" * position + "a",
        }
    np.testing.assert_allclose(np.linalg.norm(index.views, axis=2), 1, atol=1e-6)


def test_rows_stay_on_disk_until_they_are_used(tmp_path):
    index = write_index(tmp_path / "index", entries_of(50), np.ones((1, 50, 4)))
    mapped = index.views
    while mapped.base is not None and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    assert isinstance(mapped, np.memmap)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda folder: (folder / "embeddings.npy").unlink(), "cannot be read"),
        (lambda folder: (folder / "embeddings.npy").write_bytes(b"x" * 200), "cannot be read"),
        (lambda folder: (folder / "embeddings.npy").write_bytes(b""), "embeddings.npy is empty"),
        (lambda folder: cut(folder / "embeddings.npy"), "cannot be read"),
        (lambda folder: np.save(folder / "embeddings.npy", np.zeros((1, 5, 4))), "float64"),
        (lambda folder: np.save(folder / "embeddings.npy", np.zeros((1, 5, 3), "f4")), "5, 3"),
        (lambda folder: np.save(folder / "embeddings.npy", np.zeros((1, 4, 4), "f4")), "4, 4"),
        (lambda folder: cut(folder / "entries.jsonl"), "are broken"),
        (lambda folder: (folder / "entries.jsonl").write_bytes(b""), "cannot be read"),
        (lambda folder: np.save(folder / "offsets.npy", np.zeros(3, "i8")), "offsets.npy holds"),
        (lambda folder: (folder / "terms.npy").unlink(), "terms.npy"),
        (lambda folder: cut(folder / "posting_weights.npy"), "cannot be read"),
        (lambda folder: np.save(folder / "same_answer.npy", np.zeros(4, "i4")), "same_answer"),
        (lambda folder: np.save(folder / "extra_answer_owners.npy", np.zeros(1, "i4")), "owners"),
    ],
)
def test_a_broken_index_is_refused(tmp_path, damage, word):
    folder = tmp_path / "index"
    texts = ["red green", "blueish", "x", "y", "z", "1", "2", "3", "4"]
    write_index(folder, [Entry(text, (), text) for text in texts], np.ones((1, 9, 4)))
    damage(folder)
    with pytest.raises(LoadError, match=word):
        Index(folder, 9, 4, "answer")


def cut(file):
    content = file.read_bytes()
    file.write_bytes(content[:-3])


def test_stored_lines_are_plain_json(tmp_path):
    entries = [Entry("ж", ("why", "wherefore"), "so", {"url": "https://x"}), Entry("2", (), "b")]
    write_index(tmp_path / "index", entries, np.ones((1, 2, 4)))
    lines = (tmp_path / "index" / "entries.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": "ж", "question": "why", "answer": "so", "fields": {"url": "https://x"}},
        {"id": "2", "question": None, "answer": "b"},
    ]
    assert "ж" in lines[0]


def bm25(entries, ranking, query):
    """BM25 (k1 1.2, b 0.75) over the score of a perfect entry, word by word."""
    documents = [terms(lexical_text(entry, SEARCHED[ranking])) for entry in entries]
    count, mean = len(documents), sum(map(len, documents)) / len(documents)
    asked = set(terms(query))
    idf = {}
    for term in asked:
        found_in = sum(term in document for document in documents)
        idf[term] = math.log(1 + (count - found_in + 0.5) / (found_in + 0.5))
    scores = []
    for document in documents:
        score = 0.0
        for term in asked & set(document):
            times = document.count(term)
            norm = 1.2 * (1 - 0.75 + 0.75 * len(document) / mean)
            score += idf[term] * times * 2.2 / (times + norm)
        scores.append(score / (sum(idf.values()) * 2.2) if asked else 0.0)
    return np.array(scores)


def plain_scores(entries, views, extras, ranking, vector, query):
    """Every entry's score as docs/ranking.md defines it."""
    by_view = []
    for name, rows in zip(VIEWS[ranking], views, strict=True):
        if name not in SEARCHED[ranking]:
            continue
        cosine = unit(rows) @ unit(vector)
        for owner, row in extras[name]:
            cosine[owner] = max(cosine[owner], unit(row) @ unit(vector))
        by_view.append(cosine)
    vectors = (np.max(by_view, axis=0) + np.mean(by_view, axis=0)) / 2
    if query is None:
        return vectors
    return (2 * vectors + bm25(entries, ranking, query)) / 3


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_ranking_is_the_plain_formula(tmp_path_factory, data):
    """Merged by answer, filtered by category, ties aside."""
    ranking = data.draw(st.sampled_from(sorted(VIEWS)))
    count = data.draw(st.integers(1, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    text = lambda most: " ".join(rng.choice(WORDS, rng.integers(1, most)))  # noqa: E731
    entries = [
        Entry(
            f"n{number}",
            tuple(text(4) for _ in range(rng.integers(0, 3))),
            text(3) if rng.random() < 0.6 else f"own answer {number}",
            {"category": str(rng.choice(["a", "b"]))} if rng.random() < 0.7 else {},
        )
        for number in range(count)
    ]
    views = rng.normal(size=(len(VIEWS[ranking]), count, 5)).astype(np.float32)
    extras = {
        name: [
            (owner, rng.normal(size=5).astype(np.float32))
            for owner in range(count)
            for _ in range(rng.integers(0, 3))
        ]
        for name in VIEWS[ranking]
    }
    folder = tmp_path_factory.mktemp("index") / "index"
    index = write_index(folder, entries, views, ranking, extras)
    queries = [text(4) for _ in range(data.draw(st.integers(1, 12)))] + ["nothing known", "?!"]
    vectors = rng.normal(size=(len(queries), 5)).astype(np.float32)
    top_k = data.draw(st.integers(1, 12))
    asked = data.draw(st.sampled_from([queries, None]))
    wanted = data.draw(st.sampled_from([None, ["a"], ["a", "b"], ["other"]]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest_module, "BLOCK_BYTES", data.draw(st.sampled_from([8, 256, 4 << 20])))
        patch.setattr(index_module, "LEXICAL_BYTES", data.draw(st.sampled_from([8, 64 << 20])))
        found = index.search(vectors, top_k, asked, wanted)
    assert len(found) == len(queries)
    for number, (vector, matches) in enumerate(zip(vectors, found, strict=True)):
        query = None if asked is None else queries[number]
        scores = plain_scores(entries, views, extras, ranking, vector, query)
        best = {}
        for position in np.argsort(-scores, kind="stable"):
            entry = entries[position]
            if wanted is None or entry.fields.get("category") in wanted:
                best.setdefault(entry.answer, position)
        expected = list(best.values())[:top_k]
        np.testing.assert_allclose([score for _, score in matches], scores[expected], atol=1e-5)
        np.testing.assert_allclose(
            [scores[position] for position, _ in matches], scores[expected], atol=1e-5
        )
        answers = [entries[position].answer for position, _ in matches]
        assert len(set(answers)) == len(answers)


def test_of_identical_answers_the_best_comes_and_others_fill_up(tmp_path):
    answers = ["same"] * 30 + ["other"]
    entries = [Entry(f"n{number}", (), answer) for number, answer in enumerate(answers)]
    angles = np.linspace(1, 0.5, 31)
    views = np.stack([np.cos(angles), np.sin(angles)], axis=1)[np.newaxis]
    views[0, 30] = [-1, 0]
    index = write_index(tmp_path / "index", entries, views)
    (matches,) = index.search(np.array([[1, 0]], dtype=np.float32), 3)
    assert [position for position, _ in matches] == [29, 30]


def test_nearest_answers_are_of_whole_answers_alone(tmp_path):
    """Neither words, nor further rows, nor identical answers make a difference."""
    entries = [Entry(f"n{number}", ("red",), "same") for number in range(3)]
    views = np.array([[[1, 0], [0.8, 0.6], [0, 1]], np.eye(3, 2), np.eye(3, 2)])
    extras = {"answer": [(2, np.array([1, 0]))]}
    index = write_index(tmp_path / "index", entries, views, "hybrid", extras)
    (matches,) = index.nearest_answers(np.array([[2, 0]], dtype=np.float32), 3)
    assert [position for position, _ in matches] == [0, 1, 2]
    np.testing.assert_allclose([score for _, score in matches], [1, 0.8, 0], atol=1e-6)


def test_the_passage_is_the_one_with_the_best_row(tmp_path):
    extras = {"answer": [(1, np.array([0.6, 0.8])), (1, np.array([-1.0, 0.1]))]}
    index = write_index(
        tmp_path / "index", entries_of(3), np.array([[[1, 0]] * 3], dtype="f4"), extras=extras
    )
    assert index.passage(1, np.array([1, 0.1], dtype=np.float32)) == 0
    assert index.passage(1, np.array([0.1, 1], dtype=np.float32)) == 1
    assert index.passage(1, np.array([-1, 0], dtype=np.float32)) == 2
    assert index.passage(0, np.array([-1, 0], dtype=np.float32)) == 0


def test_several_categories_of_an_entry_each_find_it(tmp_path):
    fields = [{"category": ["a", "b"]}, {"category": "b"}, {"category": None}, {}]
    entries = [Entry(f"n{n}", (), f"answer {n}", each) for n, each in enumerate(fields)]
    index = write_index(tmp_path / "index", entries, np.ones((1, 4, 2)))
    query = np.ones((1, 2), dtype=np.float32)
    found = {name: index.search(query, 9, None, [name])[0] for name in ("a", "b", "None")}
    assert {name: [position for position, _ in each] for name, each in found.items()} == {
        "a": [0],
        "b": [0, 1],
        "None": [],
    }
