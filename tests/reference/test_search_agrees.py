"""`nn_train_data` finds what sentence-transformers finds, under every ranking."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import semantic_search

from container.search.views import RANKINGS
from container.serving.service import Service
from corpus.reader import Entry, read_corpus
from faq_search.quality import read_paraphrases
from tests.reference.conftest import SAMPLE
from tests.support.container import REPOSITORY, BakeRun, minilm

TOP_K = 10
# Scores closer than this are a tie: either order is right.
TIE = 2e-6


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    """The sample corpus, and answers longer than the model reads: passages change nothing."""
    entries = read_corpus(SAMPLE)
    for number in range(10):
        answer = " ".join(entry.answer for entry in entries[number * 9 : number * 9 + 9])
        entries.append(Entry(str(len(entries)), ("A long one?",), answer))
    return entries


@pytest.fixture(scope="module")
def questions(entries: list[Entry]) -> list[str]:
    ids = frozenset(entry.id for entry in entries)
    paraphrases = read_paraphrases(REPOSITORY / "corpus/sample/paraphrases.csv", ids)
    asked = [entry.questions[0] for entry in entries] + [each.text for each in paraphrases]
    assert len(asked) > 400
    return asked


@pytest.fixture(scope="module")
def expected(entries: list[Entry], questions: list[str]) -> list[list[dict[str, Any]]]:
    model = SentenceTransformer(str(minilm()), device="cpu")
    answers = model.encode([entry.answer for entry in entries], convert_to_tensor=True)
    asked = model.encode(questions, convert_to_tensor=True)
    return semantic_search(asked, answers, top_k=len(entries))


@pytest.mark.parametrize("ranking", RANKINGS)
def test_the_same_ten_ids_and_scores_for_every_question(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[Entry],
    questions: list[str],
    expected: list[list[dict[str, Any]]],
    ranking: str,
) -> None:
    corpus = "".join(entry.canonical() for entry in entries).encode()
    run = BakeRun(tmp_path_factory.mktemp(ranking) / "ml", minilm(), corpus, "faq.jsonl")
    assert run.run_here(ranking=ranking) == 0, run.failure
    body = {"mode": "nn_train_data", "queries": questions, "top_k": TOP_K}
    answer = Service.open(run.model, None).answer(json.dumps(body).encode(), "application/json")
    for question, hits, theirs in zip(questions, json.loads(answer), expected, strict=True):
        score_of = {entries[hit["corpus_id"]].id: hit["score"] for hit in theirs}
        best = [entries[hit["corpus_id"]].id for hit in theirs[:TOP_K]]
        assert len({hit["id"] for hit in hits}) == TOP_K
        for hit, place in zip(hits, best, strict=True):
            assert hit["score"] == pytest.approx(score_of[hit["id"]], abs=1e-5), question
            assert hit["id"] == place or abs(score_of[hit["id"]] - score_of[place]) < TIE, question
