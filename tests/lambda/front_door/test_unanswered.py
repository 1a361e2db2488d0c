"""Unanswered questions are kept for those who write the corpus; no failure reaches a caller."""

from __future__ import annotations

import json
import time

import pytest

from front_door.unanswered import (
    MOST_CHARACTERS,
    MOST_QUESTIONS,
    PAUSE_SECONDS,
    UnansweredQuestions,
)
from tests.support.front_door import FakeLogs, Reply, event, front_door

GROUP = "/faq-search/local/unanswered"
SECRET = "Where does Ada Lovelace live?"


@pytest.fixture(scope="module")
def loaded():
    with front_door(UNANSWERED_LOG_GROUP=GROUP) as door:
        yield door


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """On a busy machine half a second is little."""
    monkeypatch.setattr("front_door.aws._LOG_SECONDS", 20)


def found(*scores):
    """One hit, or none, for each question."""
    results = [
        [{"id": "1", "question": "Q", "answer": "A", "score": score}] if score is not None else []
        for score in scores
    ]
    return Reply(json.dumps({"bake_id": "bake-1", "results": results}).encode())


def ask(door, *questions, scores):
    door.aws.reply("faq-c6i", found(*scores))
    status, answer = door.call(event(body={"queries": list(questions)}))
    assert status == 200
    return answer["results"]


def kept(door):
    return [json.loads(line) for lines in door.aws.logs.lines.values() for line in lines]


def not_kept(capsys):
    """How many questions each request lost, as its metrics say."""
    records = map(json.loads, capsys.readouterr().out.splitlines())
    return [record["QuestionsNotKept"][0] for record in records if "QuestionsNotKept" in record]


def test_what_got_no_answer_is_kept_and_nothing_of_the_caller(door, capsys):
    ask(door, "Is it free?", "Wie\nviel?", "Lost?", scores=(0.9, 0.123456, None))
    ask(door, "Again?", scores=(0.3,))
    assert kept(door) == [
        {"question": "Wie\nviel?", "best_score": 0.1235},
        {"question": "Lost?", "best_score": None},
        {"question": "Again?", "best_score": 0.3},
    ]
    assert list(door.aws.logs.lines) == [time.strftime("%Y-%m-%d", time.gmtime())]
    assert not_kept(capsys) == []


def test_where_all_was_answered_nothing_is_asked_of_the_log(door):
    ask(door, "Is it free?", scores=(0.9,))
    assert door.aws.logs.requests == 0


def test_a_stage_that_keeps_nothing_asks_nothing_of_the_log(door):
    environment = door.handler.environment.model_copy(update={"unanswered_log_group": None})
    door.handler.app.connect(environment, door.handler.aws)
    ask(door, SECRET, scores=(0.1,))
    assert door.aws.logs.requests == 0


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        (FakeLogs.refusal("AccessDeniedException", SECRET), "AccessDeniedException"),
        (Reply(b"{}", silent_seconds=3), "TimeoutError"),
        (Reply(hang_up=True), "ConnectionClosedError"),
        (Reply(b"no JSON", 500), "500"),
    ],
    ids=["refused", "slow", "hung up", "broken"],
)
def test_a_failure_costs_half_a_second_and_no_answer(door, capsys, monkeypatch, instead, reason):
    monkeypatch.undo()
    door.aws.logs.instead = instead
    began = time.monotonic()
    assert ask(door, SECRET, scores=(0.1,)) == [
        [
            {
                "id": "1",
                "question": "Q",
                "answer": "A",
                "passage": None,
                "fields": {},
                "score": 0.1,
            }
        ]
    ]
    assert time.monotonic() - began < 2
    assert not_kept(capsys) == [1]
    log = door.log.getvalue()
    assert reason in log
    assert SECRET not in log, "a caller's text in the function's log"


def test_after_a_failure_it_pauses(door, capsys):
    now = [0.0]
    app = door.handler.app
    app.unanswered = UnansweredQuestions(door.handler.aws, GROUP, clock=lambda: now[0])
    door.aws.logs.instead = FakeLogs.refusal("ThrottlingException", "no")
    ask(door, "First?", scores=(0.1,))
    door.aws.logs = FakeLogs()
    now[0] = PAUSE_SECONDS - 1
    ask(door, "Second?", "Third?", scores=(0.1, 0.1))
    assert door.aws.logs.requests == 0
    now[0] = PAUSE_SECONDS
    ask(door, "Fourth?", scores=(0.1,))
    assert [line["question"] for line in kept(door)] == ["Fourth?"]
    assert not_kept(capsys) == [1, 2]


def test_one_request_of_the_log_takes_what_is_kept(door, capsys):
    """CloudWatch takes 1,048,576 bytes at once, 26 more counted for each line."""
    questions = ["\x01" * (MOST_CHARACTERS + 1) + "?"] * (MOST_QUESTIONS + 1)
    door.aws.reply("faq-c6i", found(*[0.1] * len(questions)))
    assert door.call(event(body={"queries": questions, "top_k": 1}))[0] == 200
    ((lines),) = door.aws.logs.lines.values()
    assert len(lines) == MOST_QUESTIONS
    assert len(json.loads(lines[0])["question"]) == MOST_CHARACTERS
    assert sum(len(line.encode()) + 26 for line in lines) < 1_048_576
    assert not_kept(capsys) == [1]
