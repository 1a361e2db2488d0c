"""POST /search finds what sentence-transformers finds, for every evaluation question."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import semantic_search

from corpus.reader import read_corpus
from faq_search.quality import read_paraphrases
from tests.end_to_end.local_app import ROOT, SAMPLE, LocalApp
from tests.support.container import minilm

# In one worker, because they share slow fixtures.
pytestmark = pytest.mark.xdist_group("search_agrees")

TOP_K = 10
AT_ONCE = 50
# Scores closer than this are a tie: either order is right.
TIE = 2e-6


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApp]:
    state = tmp_path_factory.mktemp("local") / "state"
    app = LocalApp(state, python=ROOT / ".venv/bin/python").start()
    yield app
    app.interrupt()


def test_the_same_ten_ids_for_every_question(app: LocalApp) -> None:
    entries = read_corpus(SAMPLE)
    questions = [entry.question for entry in entries if entry.question]
    ids = frozenset(entry.id for entry in entries)
    path = ROOT / "corpus/sample/paraphrases.csv"
    questions += [question.text for question in read_paraphrases(path, ids)]
    assert len(questions) > 400

    model = SentenceTransformer(str(minilm()), device="cpu")
    answers = model.encode([entry.answer for entry in entries], convert_to_tensor=True)
    asked = model.encode(questions, convert_to_tensor=True)
    expected = semantic_search(asked, answers, top_k=len(entries))

    found = []
    with app.client() as client:
        for first in range(0, len(questions), AT_ONCE):
            found += client.search(questions[first : first + AT_ONCE], top_k=TOP_K).results
    for question, hits, theirs in zip(questions, found, expected, strict=True):
        score_of = {entries[hit["corpus_id"]].id: hit["score"] for hit in theirs}
        best = [entries[hit["corpus_id"]].id for hit in theirs[:TOP_K]]
        for hit, place in zip(hits, best, strict=True):
            assert hit.score == pytest.approx(score_of[hit.id], abs=1e-5), question
            assert hit.id == place or abs(score_of[hit.id] - score_of[place]) < TIE, question
