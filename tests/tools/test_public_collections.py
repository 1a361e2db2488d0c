"""Public FAQ collections as corpora and paraphrases; the texts here are made up."""

from __future__ import annotations

import json
import sys

import pytest

from corpus.reader import read_corpus
from faq_search.quality import Question, read_paraphrases
from tools import public_collections

THREADS = {
    "root": {
        "qapair": [
            {"question": " Why? ", "answer": ["So.", "Thus.", ""], "rephr": ["How come?", "*"]},
            {"question": "When?", "answer": "Now.", "rephr": "At what time?"},
        ]
    }
}


def convert(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["collections", *map(str, arguments)])
    public_collections.main()


def test_stackfaq(tmp_path, monkeypatch):
    (tmp_path / "stackfaq.json").write_text(json.dumps(THREADS))
    convert(monkeypatch, "stackfaq", tmp_path / "stackfaq.json", tmp_path / "out")
    entries = read_corpus(tmp_path / "out" / "corpus.jsonl")
    assert [(entry.id, entry.questions, entry.answer) for entry in entries] == [
        ("0-0", ("Why?",), "So."),
        ("0-1", ("Why?",), "Thus."),
        ("1-0", ("When?",), "Now."),
    ]
    ids = frozenset(entry.id for entry in entries)
    assert read_paraphrases(tmp_path / "out" / "paraphrases.csv", ids) == [
        Question("How come?", frozenset({"0-0", "0-1"})),
        Question("At what time?", frozenset({"1-0"})),
    ]


def test_aws(tmp_path, monkeypatch):
    (tmp_path / "faq.csv").write_text('\ufeffWhat is it?,A service.\n"Which?\n",This one.\n')
    convert(monkeypatch, "aws", tmp_path / "faq.csv", tmp_path / "out")
    entries = read_corpus(tmp_path / "out" / "corpus.jsonl")
    assert [(entry.id, entry.question) for entry in entries] == [
        ("0", "What is it?"),
        ("1", "Which?"),
    ]
    assert not (tmp_path / "out" / "paraphrases.csv").exists()


def test_an_unknown_collection(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        convert(monkeypatch, "other", tmp_path, tmp_path)
    assert "aws, stackfaq" in capsys.readouterr().err.replace("'", "")
