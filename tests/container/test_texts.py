"""Which texts of an entry are encoded, and the passages of long answers."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest

from container.search.passages import OVERLAP, Passages
from container.search.texts import lexical_text, window_texts, without_markup
from container.search.views import SEARCHED, VIEWS
from corpus.reader import Entry
from tests.support.container import minilm

SHORT = Entry("1", ("Why <b>this</b>?", "Why that?"), "So **bold** it is.")
TEXT = Entry("2", (), "Only a text.")
LONG = Entry("3", ("Why?",), " ".join(f"Sentence number {n} says something." for n in range(120)))


@pytest.fixture(scope="module")
def passages(minilm_encoder):
    return Passages(minilm() / "tokenizer.json", minilm_encoder.config)


@pytest.fixture
def texts(minilm_encoder, passages):
    def run(entries, ranking="hybrid"):
        settings = SimpleNamespace(ranking=ranking, query_prefix="q: ", passage_prefix="p: ")
        given = []

        def tokenize(some):
            given.extend(some)
            return minilm_encoder.tokenize(some)

        found = window_texts(entries, settings, tokenize, passages)
        assert len(found.tokens) == len(given)
        rows = {view: [given[n] for n in numbers] for view, numbers in found.rows.items()}
        extras = {view: [(o, given[n]) for o, n in each] for view, each in found.extras.items()}
        return found, rows, extras

    return run


def test_each_view_has_its_text_without_markup_and_with_its_prefix(texts):
    _, rows, extras = texts([SHORT, TEXT])
    assert rows == {
        "answer": ["p: So bold it is.", "p: Only a text."],
        "question": ["q: Why this?", "p: Only a text."],
        "both": ["p: Why this? So bold it is.", "p: Only a text."],
    }
    assert extras == {"answer": [], "question": [(0, "q: Why that?")], "both": []}


@pytest.mark.parametrize("ranking", ["answer", "question"])
def test_other_rankings_need_fewer(texts, ranking):
    found, rows, extras = texts([SHORT], ranking)
    assert tuple(rows) == VIEWS[ranking]
    assert (
        extras == {"answer": [], "question": [(0, "q: Why that?")]}
        if ranking == "question"
        else {"answer": []}
    )
    assert len(found.tokens) == {"answer": 1, "question": 3}[ranking]


def test_a_text_is_encoded_once(texts):
    found, _, _ = texts([TEXT, TEXT])
    assert len(found.tokens) == 1


def test_a_long_answer_has_overlapping_passages_that_cover_it(texts, minilm_encoder):
    found, rows, extras = texts([SHORT, LONG])
    spans = found.passages[1]
    assert found.passages[0] == []
    assert len(spans) > 2
    assert (spans[0][0], spans[-1][1]) == (0, len(LONG.answer))
    assert all(later[0] < former[1] for former, later in pairwise(spans))
    assert extras["answer"] == [(1, f"p: {LONG.answer[a:b]}") for a, b in spans[1:]]
    assert rows["answer"][1] == f"p: {LONG.answer}"
    # What the model reads of the whole answer is the first passage.
    first = minilm_encoder.tokenize([f"p: {LONG.answer[: spans[0][1]]}", f"p: {LONG.answer}"])
    assert first[0] == first[1]
    assert all(text.startswith("p: Why? ") for _, text in extras["both"])
    assert len(extras["both"]) >= len(extras["answer"])


def test_passages_begin_with_a_word_and_fit_the_model(passages, minilm_encoder):
    spans = passages.find("", LONG.answer)
    for start, end in spans:
        assert start == 0 or not (LONG.answer[start - 1] + LONG.answer[start]).isalnum()
        (tokens,) = minilm_encoder.tokenize([LONG.answer[start:end]])
        assert len(tokens) >= min(250, OVERLAP)


def test_what_fits_has_no_passages(passages):
    words = "word " * 300
    assert passages.find("", "word " * 254) == []
    assert len(passages.find("", words)) == 2
    assert passages.find("word " * 200, words) == [], "too little room beside the question"
    assert not passages.may_be_cut([0] * 255)
    assert passages.may_be_cut([0] * 256)


def test_the_question_ranking_needs_no_passages_of_answers(texts):
    found, _, extras = texts([LONG], "question")
    assert extras == {"answer": [], "question": []}
    assert found.passages == [[]]


def test_a_long_text_without_a_question_has_passages_in_every_view(texts):
    _, _, extras = texts([Entry("1", (), LONG.answer)])
    assert extras["answer"] == extras["question"] == extras["both"]
    assert extras["answer"]


@pytest.mark.parametrize(
    ("ranking", "text"),
    [
        ("hybrid", "Why this?\nWhy that?\nSo bold it is."),
        ("answer", "So bold it is."),
        ("question", "Why this?\nWhy that?"),
    ],
)
def test_words_are_those_of_the_views_that_are_searched(ranking, text):
    assert lexical_text(without_markup(SHORT), SEARCHED[ranking]) == text
    assert lexical_text(TEXT, SEARCHED[ranking]) == "Only a text."
