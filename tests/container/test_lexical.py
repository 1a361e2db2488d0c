"""The lexical score, and writing its files in bounded memory."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from container.bake.lexical_writer import LexicalWriter
from container.search import lexical as lexical_module
from container.search.lexical import Lexical
from container.search.terms import terms

TEXTS = [f"common a{number} and twice a{number} b{number % 40}" for number in range(400)]


def write(folder, texts, at_once=64):
    folder.mkdir()
    writer = LexicalWriter(folder, len(texts))
    for start in range(0, len(texts), at_once):
        writer.add([Counter(terms(text)) for text in texts[start : start + at_once]])
    writer.finish()
    writer.close()
    return Lexical(folder, len(texts))


def test_a_score_lies_between_nothing_shared_and_a_perfect_entry(tmp_path):
    lexical = write(tmp_path / "lexical", TEXTS)
    (scores,) = lexical.scores(["a7 b7"])
    assert scores.argmax() == 7
    assert 0.5 < scores.max() < 1
    assert scores[8] == 0
    assert not lexical.scores(["unknown"]).any()
    assert not lexical.scores([""]).any()


def test_a_word_that_no_entry_has_lowers_the_score_and_changes_no_order(tmp_path):
    lexical = write(tmp_path / "lexical", TEXTS)
    known, more = lexical.scores(["a7 common", "a7 common unknown"])
    assert more[7] < known[7]
    assert (np.argsort(-known, kind="stable") == np.argsort(-more, kind="stable")).all()


def test_a_repeated_word_of_a_query_counts_once(tmp_path):
    once, twice = write(tmp_path / "lexical", TEXTS).scores(["b7 a8", "b7 b7 a8"])
    assert (once == twice).all()


@pytest.mark.parametrize("group", [400, 1 << 17])
def test_many_queries_score_as_each_alone(tmp_path, group, monkeypatch):
    lexical = write(tmp_path / "lexical", TEXTS)
    monkeypatch.setattr(lexical_module, "GROUP_SCORES", group)
    queries = [f"common twice a{number} b{number}" for number in range(20)]
    together = lexical.scores(queries, 0.5)
    alone = np.concatenate([lexical.scores([query], 0.5) for query in queries])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_windows_make_no_difference_and_leave_nothing_behind(tmp_path):
    write(tmp_path / "one", TEXTS, at_once=400)
    write(tmp_path / "many", TEXTS, at_once=7)
    one, many = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "many")
    )
    assert one == many
    assert set(one) == {
        *("terms.npy", "term_idf.npy", "term_starts.npy", "term_dense.npy", "dense.npy"),
        *("posting_entries.npy", "posting_weights.npy"),
    }


def test_common_terms_have_rows_and_no_postings(tmp_path):
    write(tmp_path / "lexical", TEXTS)
    assert np.load(tmp_path / "lexical" / "dense.npy").shape == (4, 400)  # common and twice, <commo
    starts = np.load(tmp_path / "lexical" / "term_starts.npy")
    assert starts[-1] == 400 * 2


def test_entries_without_a_word_do_no_harm(tmp_path):
    lexical = write(tmp_path / "lexical", ["?", "!", "..."])
    assert lexical.scores(["word", "?"]).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_no_more_terms_are_remembered_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(lexical_module, "REMEMBERED_TERMS", 5)
    lexical = write(tmp_path / "lexical", TEXTS)
    lexical.scores([f"a{number}" for number in range(300)])
    assert len(lexical._remembered) <= 5
