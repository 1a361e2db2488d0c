"""The command line of the client, before an API on localhost."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from corpus.reader import describe
from faq_search.__main__ import main
from faq_search.quality import (
    Outcome,
    Question,
    by_margin,
    by_min_score,
    hardest,
    read_paraphrases,
    scores,
)
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


def test_search_shows_fields_the_passage_and_that_there_is_no_answer(api):
    answer = search_answer("7")
    answer["results"][0][0] |= {"passage": "only this", "fields": {"url": "https://x"}}
    answer["results"].append([])
    api.answer(200, answer)
    status, shown = run(
        *("search", "one?", "two?", "--margin", "0.1", "--category", "a", "--category", "b")
    )
    assert status == 0
    assert "only this" in shown and "see [b]" not in shown and "url: https://x" in shown
    assert "no answer" in shown
    asked = api.asked[0].body
    assert (asked["margin"], asked["category"]) == (0.1, ["a", "b"])


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
        hits = tuple((each, None, 0.5) for each in found)
        return Outcome(Question("?", frozenset({"right"})), hits)

    first, second = outcome("right", "a"), outcome("a", "right")
    fourth, missed = outcome("a", "b", "c", "right"), outcome("a", "b")
    found = scores([first, second, fourth, missed])
    assert (found.questions, found.top_1, found.top_3) == (4, 0.25, 0.5)
    assert found.mrr_10 == pytest.approx((1 + 1 / 2 + 1 / 4) / 4)
    low, high = found.top_1_interval
    assert 0 <= low < 0.25 < high <= 1
    assert hardest([first, second, fourth, missed], 2) == [missed, fourth]


def test_an_interval_narrows_with_the_number_of_questions():
    outcomes = [
        Outcome(Question("?", frozenset({"1"})), (("1" if n % 2 else "2", None, 0.5),))
        for n in range(400)
    ]
    (few_low, few_high), (low, high) = (
        scores(outcomes[:count]).top_1_interval for count in (40, 400)
    )
    # 95 % of samples of 400 coins lie within 0.5 ± 1.96 · √(0.25 / 400) = ± 0.049.
    assert (low, high) == (pytest.approx(0.451, abs=0.008), pytest.approx(0.549, abs=0.008))
    assert few_high - few_low > 2 * (high - low)


def test_what_limits_would_withhold():
    def outcome(*hits):
        return Outcome(Question("?", frozenset({"right"})), hits)

    outcomes = [
        outcome(("right", "A?", 0.9), ("x", "B?", 0.42)),
        outcome(("right", "A?", 0.6), ("y", "A?", 0.6), ("x", "B?", 0.585)),
        outcome(("x", "B?", 0.5), ("right", "A?", 0.3)),
        outcome(),
    ]
    curve = {row.limit: row for row in by_min_score(outcomes)}
    assert (curve[0.5].right, curve[0.5].wrong, curve[0.5].withheld) == (0.5, 0.25, 0.25)
    assert curve[0.5].without_entry == 2 / 3
    assert (curve[0.55].right, curve[0.55].wrong, curve[0.55].withheld) == (0.5, 0, 0.5)
    assert (curve[0.65].right, curve[0.65].without_entry) == (0.25, 0)
    assert max(curve) == 0.9
    ahead = {row.limit: row for row in by_margin(outcomes)}
    assert (ahead[0.01].right, ahead[0.01].wrong) == (0.5, 0.25)
    assert (ahead[0.02].right, ahead[0.02].wrong, ahead[0.02].withheld) == (0.25, 0.25, 0.5)


def test_any_of_several_right_answers_counts():
    hits = tuple((found, None, 0.5) for found in "xba")
    assert Outcome(Question("?", frozenset({"a", "b"})), hits).rank == 2


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
    for asked in api.asked[1:]:
        limits = {name: asked.body[name] for name in ("top_k", "min_score", "margin")}
        assert limits == {"top_k": 10, "min_score": -1, "margin": 0}
    report = json.loads((tmp_path / "out.json").read_text())
    own, other = report["scores"]["own"], report["scores"]["paraphrased"]
    assert (own["questions"], own["top_1"], own["top_3"]) == (20, 0.95, 0.95)
    assert (other["top_1"], other["top_3"], other["mrr_10"]) == (0, 1, pytest.approx(1 / 3))
    assert report["missed"]["own"][0]["question"] == "Question 19?"
    assert "95.0 [" in shown and "In other words?" in shown and "3: Question 3?" in shown


def test_an_answer_that_several_entries_have_is_right_by_any_of_them(evaluated, tmp_path):
    api, corpus, _ = evaluated
    corpus.write_text("One?,Same.\nTwo?,Same.\nThree?,Other.\nOne?,Another.\n")
    api.answers[0][1]["corpus"]["sha256"] = describe(corpus).sha256
    api.answer(200, results(["1"], ["0"], ["0"]))
    status, shown = run("evaluate", "--corpus", str(corpus), "--json", str(tmp_path / "o.json"))
    assert status == 0, shown
    report = json.loads((tmp_path / "o.json").read_text())
    assert api.asked[1].body["queries"] == ["One?", "Two?", "Three?"]
    assert report["missed"]["own"][0]["right_ids"] == ["2"]
    assert report["scores"]["own"]["top_1"] == pytest.approx(2 / 3)


def test_evaluating_another_corpus_than_the_deployed_is_refused(evaluated, capsys):
    api, corpus, paraphrases = evaluated
    corpus.write_text(corpus.read_text() + "More?,Yes.\n")
    assert run("evaluate", "--corpus", str(corpus), "--paraphrases", str(paraphrases))[0] == 1
    assert "not the corpus that is deployed" in capsys.readouterr().err
    assert len(api.asked) == 1
