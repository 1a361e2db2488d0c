"""The command line of the client, before an API on localhost."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from corpus.reader import describe
from faq_search.__main__ import main
from faq_search.quality import Outcome, Question, hardest, read_paraphrases, scores
from faq_search.settings import connect
from tests.support.client import SERVED, running_api


@pytest.fixture
def api(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAQ_SEARCH_URL", raising=False)
    with running_api() as api:
        (tmp_path / ".local").mkdir()
        (tmp_path / ".local" / "api.json").write_text(json.dumps({"url": api.url, "api_key": "k"}))
        yield api


def run(*arguments):
    shown = io.StringIO()
    status = main(arguments, Console(file=shown, width=160, markup=False, emoji=False))
    return status, shown.getvalue()


def search_answer(*ids):
    hits = [
        {"id": i, "question": "Q?", "answer": "see [b]this[/b] :tada:", "score": 0.9} for i in ids
    ]
    return {"results": [hits], "bake_id": "b", "served_by": SERVED, "request_id": "r"}


def test_search_shows_answers_as_they_are(api):
    api.answer(200, search_answer("7"))
    status, shown = run("search", "Is R supported?", "--top-k", "1", "--min-score", "0.2")
    assert status == 0
    assert "see [b]this[/b] :tada:" in shown and "0.900" in shown
    assert "served by ml.c6i.xlarge" in shown
    assert api.asked[0].body == {"queries": ["Is R supported?"], "top_k": 1, "min_score": 0.2}
    assert api.asked[0].headers["x-api-key"] == "k"


def test_search_as_json(api, capsys):
    api.answer(200, search_answer("7"))
    assert run("search", "?", "--json")[0] == 0
    assert json.loads(capsys.readouterr().out)[0][0]["id"] == "7"


def test_embed(api):
    api.answer(200, {"embeddings": [[0.25] * 384], "served_by": SERVED, "request_id": "r"})
    status, shown = run("embed", "a text", "--instance-type", "ml.c6i.xlarge")
    assert (status, api.asked[0].body["instance_type"]) == (0, "ml.c6i.xlarge")
    assert "384" in shown and "+0.2500" in shown


def test_nearest_reads_a_file(api, tmp_path):
    (tmp_path / "texts").write_text("one\n\ntwo\n")
    hits = [[{"corpus_id": 1, "score": 0.5}]]
    api.answer(200, {"results": hits, "served_by": SERVED, "request_id": "r"})
    status, shown = run("nearest", "--corpus", str(tmp_path / "texts"), "2")
    assert (status, api.asked[0].body["corpus"]) == (0, ["one", "two"])
    assert "two" in shown


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("time_out", 1)])
def test_health_fails_unless_one_answers(api, status, code, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("faq_search.transport._LONGEST_PAUSE_SECONDS", 0.0)
    lines = [{"instance_type": "ml.c6i.xlarge", "status": status}]
    answer = {"bake_id": "b", "endpoints": lines, "request_id": "r"}
    if code:
        api.answer(503, answer | {"code": "model_unavailable", "message": "…"})
    else:
        api.answer(200, answer | {"status": "ok"})
    found, shown = run("health")
    assert found == code
    assert status in shown


def test_an_error_is_a_sentence_and_the_request_id(api, capsys):
    api.answer(400, {"code": "invalid_request", "message": "No.", "request_id": "req-9"})
    assert run("search", "?")[0] == 1
    assert capsys.readouterr().err == "invalid_request: No.\nrequest id: req-9\n"


def test_without_an_api_it_says_how_to_get_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAQ_SEARCH_URL", raising=False)
    assert run("health")[0] == 1
    assert "make local" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_broken_file_is_told(tmp_path, text):
    (tmp_path / "api.json").write_text(text)
    with pytest.raises(ValueError, match=r"api\.json"):
        connect({}, local_file=tmp_path / "api.json")


def test_a_key_goes_only_to_the_url_it_belongs_to(tmp_path):
    (tmp_path / "api.json").write_text('{"url": "http://local", "api_key": "local-key"}')
    with pytest.raises(ValueError, match="No API key"):
        connect({}, url="https://elsewhere", local_file=tmp_path / "api.json")


def test_the_environment_names_the_api(api, tmp_path, monkeypatch):
    (tmp_path / ".local" / "api.json").unlink()
    monkeypatch.setenv("FAQ_SEARCH_URL", api.url)
    monkeypatch.setenv("FAQ_SEARCH_API_KEY", "from-environment")
    api.answer(200, search_answer("1"))
    assert run("search", "?")[0] == 0
    assert api.asked[0].headers["x-api-key"] == "from-environment"


def test_scores_of_known_ranks():
    def outcome(*found):
        return Outcome(Question("?", frozenset({"right"})), found)

    first, second = outcome("right", "a"), outcome("a", "right")
    fourth, missed = outcome("a", "b", "c", "right"), outcome("a", "b")
    found = scores([first, second, fourth, missed])
    assert (found.questions, found.top_1, found.top_3) == (4, 0.25, 0.5)
    assert found.mrr_10 == pytest.approx((1 + 1 / 2 + 1 / 4) / 4)
    assert hardest([first, second, fourth, missed], 2) == [missed, fourth]


def test_any_of_several_right_answers_counts():
    assert Outcome(Question("?", frozenset({"a", "b"})), ("x", "b", "a")).rank == 2


def test_a_paraphrase_that_several_entries_answer_has_several_rows(tmp_path):
    (tmp_path / "p.csv").write_text("question,id\nWhy?,1\nHow?,2\nWhy?,a b\n")
    known = frozenset({"1", "2", "a b"})
    assert read_paraphrases(tmp_path / "p.csv", known) == [
        Question("Why?", frozenset({"1", "a b"})),
        Question("How?", frozenset({"2"})),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text,id\na,1\n", "no column question"),
        ("question,id\na,9\n", ":2: the corpus has no id '9'"),
        ("question,id\na,1\n,1\n", ":3: an empty question"),
        ("question,id\na,\n", ":2: the corpus has no id ''"),
        ("question,id\n", "no questions"),
    ],
)
def test_faults_of_paraphrases_are_told(tmp_path, text, says):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_paraphrases(path, frozenset({"1"}))


@pytest.fixture
def evaluated(api, tmp_path):
    corpus, paraphrases = tmp_path / "faq.csv", tmp_path / "p.csv"
    corpus.write_text("".join(f"Question {i}?,Answer {i}.\n" for i in range(20)))
    paraphrases.write_text("question,id\nIn other words?,3\n")
    deployed = {
        "endpoints": [],
        "model": {"id": "minilm", "version": "2.0.1", "dimension": 384},
        "corpus": {"sha256": describe(corpus).sha256},
        "bake_id": "b",
        "serving": "on",
        "request_id": "r",
    }
    api.answer(200, deployed)
    return api, corpus, paraphrases


def results(*queries):
    """Each query finds the given ids."""
    hits = [
        [{"id": i, "question": None, "answer": "", "score": 0.5} for i in ids] for ids in queries
    ]
    return {"results": hits, "bake_id": "b", "served_by": SERVED, "request_id": "r"}


def test_evaluate(evaluated, tmp_path):
    api, corpus, paraphrases = evaluated
    api.answer(200, results(*([str(i)] for i in range(16))))
    api.answer(200, results(["16"], ["17"], ["18"], ["0"]))
    api.answer(200, results(["1", "2", "3"]))
    status, shown = run(
        *("evaluate", "--corpus", str(corpus), "--paraphrases", str(paraphrases)),
        *("--json", str(tmp_path / "out.json")),
    )
    assert status == 0, shown
    assert [len(asked.body["queries"]) for asked in api.asked[1:]] == [16, 4, 1]
    assert {asked.body["top_k"] for asked in api.asked[1:]} == {10}
    report = json.loads((tmp_path / "out.json").read_text())
    own, other = report["scores"]["own"], report["scores"]["paraphrased"]
    assert (own["questions"], own["top_1"], own["top_3"]) == (20, 0.95, 0.95)
    assert (other["top_1"], other["top_3"], other["mrr_10"]) == (0, 1, pytest.approx(1 / 3))
    assert report["missed"]["own"][0]["question"] == "Question 19?"
    assert "95.0%" in shown and "In other words?" in shown and "3: Question 3?" in shown


def test_evaluating_another_corpus_than_the_deployed_is_refused(evaluated, capsys):
    api, corpus, paraphrases = evaluated
    corpus.write_text(corpus.read_text() + "More?,Yes.\n")
    assert run("evaluate", "--corpus", str(corpus), "--paraphrases", str(paraphrases))[0] == 1
    assert "not the corpus that is deployed" in capsys.readouterr().err
    assert len(api.asked) == 1
