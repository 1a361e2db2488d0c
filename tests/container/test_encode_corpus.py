"""Encoding window by window: order, overlap, and errors on either side."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from container.bake.encode_corpus import WINDOW_BATCHES, encode_corpus
from container.bake.index_writer import IndexWriter
from container.search.index import Index
from corpus.reader import CorpusError

ENTRIES = 5 * WINDOW_BATCHES + 3


class NumberEncoder:
    """The vector of a text that ends in a number: its cosine and sine."""

    def __init__(self):
        self.config = SimpleNamespace(dimension=2)
        self.encoded = 0

    def tokenize(self, texts):
        return [[int(text.split()[-1])] for text in texts]

    def encode_tokens(self, tokens):
        self.encoded += 1
        angles = np.array([number for (number,) in tokens], dtype=np.float32) / 1000
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


class NoPassages:
    def may_be_cut(self, _tokens):
        return False


def settings(ranking="answer"):
    return SimpleNamespace(
        ranking=ranking, batch_size=1, store_text=True, query_prefix="", passage_prefix=""
    )


def encode(corpus, encoder, folder, entries=ENTRIES, ranking="answer"):
    encode_corpus(settings(ranking), corpus, entries, encoder, passages=NoPassages(), folder=folder)


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "faq.jsonl"
    with file.open("w") as to:
        for n in range(ENTRIES):
            entry = {"id": f"n{n}", "question": f"question {n}", "answer": f"answer {1000 + n}"}
            to.write(json.dumps(entry) + "\n")
    return file


@pytest.mark.parametrize(("ranking", "first"), [("answer", [1000]), ("question", [1000, 0])])
def test_every_window_is_written_in_its_place(tmp_path, corpus, ranking, first, capsys):
    encode(corpus, NumberEncoder(), tmp_path / "index", ranking=ranking)
    index = Index(tmp_path / "index", ENTRIES, 2, ranking)
    angles = np.arctan2(index.views[..., 1], index.views[..., 0]) * 1000
    expected = np.array(first)[:, np.newaxis] + np.arange(ENTRIES)
    np.testing.assert_allclose(angles, expected, atol=0.1)
    assert [index.entry(n)["id"] for n in range(ENTRIES)] == [f"n{n}" for n in range(ENTRIES)]
    assert f"encoded {ENTRIES} of {ENTRIES} (100 %)" in capsys.readouterr().out


def test_the_next_window_is_read_while_one_is_encoded(tmp_path, corpus):
    class WaitingEncoder(NumberEncoder):
        def __init__(self):
            super().__init__()
            self.tokenized = threading.Semaphore(0)

        def tokenize(self, texts):
            self.tokenized.release()
            return super().tokenize(texts)

        def encode_tokens(self, tokens):
            # Its own window, and the next one (of nothing, after the last).
            assert self.tokenized.acquire(timeout=5)
            if not self.encoded:
                assert self.tokenized.acquire(timeout=5)
            return super().encode_tokens(tokens)

    encode(corpus, WaitingEncoder(), tmp_path / "index")


def test_an_error_in_a_later_row_is_raised(tmp_path, corpus):
    with corpus.open("a") as to:
        to.write('{"id": "n1"}\n')
    with pytest.raises(CorpusError):
        encode(corpus, NumberEncoder(), tmp_path / "index", ENTRIES + 1)


@pytest.mark.parametrize("at", [1, 6], ids=["a window", "the last window"])
def test_a_full_disk_is_raised(tmp_path, corpus, monkeypatch, at):
    windows = []

    def add(_self, entries, _texts, _vectors):
        windows.append(entries)
        if len(windows) == at:
            raise OSError("no space left")

    monkeypatch.setattr(IndexWriter, "add", add)
    with pytest.raises(OSError, match="no space left"):
        encode(corpus, NumberEncoder(), tmp_path / "index")
    assert len(windows) <= at + 1


def test_an_error_of_the_model_ends_it(tmp_path, corpus):
    class BrokenEncoder(NumberEncoder):
        def encode_tokens(self, tokens):
            if self.encoded == 2:
                raise MemoryError
            return super().encode_tokens(tokens)

    with pytest.raises(MemoryError):
        encode(corpus, BrokenEncoder(), tmp_path / "index")
    assert all(not thread.name.startswith("corpus") for thread in threading.enumerate())
