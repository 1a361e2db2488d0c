"""Unanswered questions: how they are read, grouped by meaning and written."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from commands import unanswered
from commands.errors import CommandError
from commands.target import Choice
from commands.unanswered import COLUMNS, Asked, Model, group_by_meaning, read_questions, write
from commands.verify.deployed import Deployed
from contract.vector_index import VectorIndex
from corpus.__main__ import main as corpus_main
from corpus.reader import describe, read_corpus
from tests.support.model_validator import check_request
from tests.support.synthesis import changed

GROUP = "/faq-search/dev/unanswered"
NOW = datetime.now(UTC).replace(microsecond=0)
# Directions of meaning: prices, and languages.
MEANINGS = {
    "What does it cost?": [1.0, 0.0],
    "How much is it?": [0.9, 0.2],
    "Is R supported?": [0.0, 2.0],
}
HIT = {"id": "7", "question": "Which languages?", "answer": "Python and R.", "score": 0.2}


class Endpoint:
    """A SageMaker endpoint that knows what the questions mean, and one entry about R."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.is_off = False

    def invoke_endpoint(self, **given: Any) -> dict[str, Any]:
        assert given["EndpointName"] == "faq-search-dev-c6i-xlarge"
        if self.is_off:
            error = {"Code": "ValidationError", "Message": "Endpoint not found."}
            raise ClientError({"Error": error}, "InvokeEndpoint")
        request = json.loads(given["Body"])
        self.asked.append(request)
        if request["mode"] == "embedding":
            answer: dict[str, Any] = {
                "embedding": [MEANINGS[text] for text in request["text_inputs"]]
            }
        else:
            assert (request["mode"], request["top_k"]) == ("search", 1)
            answer = {"results": [[HIT] if " R " in query else [] for query in request["queries"]]}
        return {"Body": io.BytesIO(json.dumps(answer).encode()), "ResponseMetadata": {}}


class Target:
    """moto's logs, and the endpoint."""

    def __init__(self) -> None:
        self.logs = boto3.client("logs", region_name="us-east-1")
        self.endpoint = Endpoint()

    def client(self, service: str, _region: str | None = None) -> Any:
        return {"logs": self.logs, "sagemaker-runtime": self.endpoint}[service]


@pytest.fixture
def target():
    with mock_aws():
        target = Target()
        target.logs.create_log_group(logGroupName=GROUP)
        target.logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
        yield target


@pytest.fixture
def stage(target):
    return Deployed(target, Choice.read("dev"))


def keep(target, *questions: str, at: datetime = NOW) -> None:
    events = [
        {
            "timestamp": int(at.timestamp() * 1000),
            "message": json.dumps({"question": question, "best_score": 0.2}),
        }
        for question in questions
    ]
    target.logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)


def asked(question: str, times: int = 1, score: float | None = 0.25) -> Asked:
    return Asked(question, times, NOW, score)


def run(stage, monkeypatch, file: Path) -> int:
    monkeypatch.setattr(unanswered, "choose", lambda _: (stage.target, stage.choice))
    return unanswered.run(Namespace(days=30, alike=None, output=file))


def test_each_wording_once_the_most_frequent_first(target, stage):
    keep(target, "What does it cost?", at=NOW - timedelta(hours=2))
    keep(target, "Is R supported?", "what  does it COST", at=NOW - timedelta(hours=1))
    found = read_questions(stage, NOW - timedelta(days=1))
    assert found == [
        Asked("what  does it COST", 2, NOW - timedelta(hours=1), 0.2),
        Asked("Is R supported?", 1, NOW - timedelta(hours=1), 0.2),
    ]


def test_only_since_then(target, stage):
    keep(target, "What does it cost?", at=NOW - timedelta(days=3))
    keep(target, "Is R supported?")
    found = read_questions(stage, NOW - timedelta(days=2))
    assert [each.question for each in found] == ["Is R supported?"]


def test_lines_of_others_are_passed_over(target, stage):
    events = [
        {"timestamp": int(NOW.timestamp() * 1000), "message": message}
        for message in ("no JSON", "[]", "{}")
    ]
    target.logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)
    assert read_questions(stage, NOW - timedelta(days=1)) == []


def test_a_stage_that_keeps_none_says_what_to_set(target, stage):
    target.logs.delete_log_group(logGroupName=GROUP)
    with pytest.raises(CommandError, match="keep_unanswered = true"):
        read_questions(stage, NOW)


def test_questions_that_mean_the_same_are_one_group(stage):
    questions = [asked("Is R supported?", 3), asked("What does it cost?", 2)]
    questions.append(asked("How much is it?", 2))
    groups = group_by_meaning(Model(stage), questions, 0.75)
    assert [[each.question for each in group] for group in groups] == [
        ["What does it cost?", "How much is it?"],  # asked four times in all
        ["Is R supported?"],
    ]
    assert len(group_by_meaning(Model(stage), questions, 0.99)) == 3


@pytest.mark.parametrize(
    ("model", "alike"), [("all-MiniLM-L6-v2", 0.65), ("multilingual-e5-base", 0.9), ("bge-m3", 0.9)]
)
def test_how_alike_they_are_depends_on_the_model(target, model, alike):
    settings = changed("dev", model={"id": f"huggingface-sentencesimilarity-{model}"})
    assert Model(Deployed(target, Choice(settings, {}))).alike == alike


@pytest.mark.parametrize(("ranking", "more"), [("hybrid", {}), ("vectors", {"lexical": False})])
def test_the_nearest_entry_is_found_as_the_stage_ranks(target, ranking, more):
    stage = Deployed(target, Choice(changed("dev", search={"ranking": ranking}), {}))
    assert Model(stage).nearest(["Is R supported?", "What does it cost?"]) == [HIT, None]
    (request,) = target.endpoint.asked
    assert {key: request.get(key) for key in ("lexical",) if key in request} == more


def test_many_are_asked_in_several_requests(target, stage, monkeypatch):
    monkeypatch.setattr(unanswered, "_TEXTS_AT_ONCE", 2)
    model = Model(stage)
    assert model.vectors(list(MEANINGS)).tolist()[2] == [0.0, 1.0]
    assert model.nearest(["a", "b", "Is R supported?"]) == [None, None, HIT]
    assert len(target.endpoint.asked) == 4


def test_the_table_once_filled_in_is_a_corpus(target, stage, monkeypatch, tmp_path, capsys):
    keep(target, "What does it cost?", "How much is it?", "What does it cost?", "Is R supported?")
    file = tmp_path / "unanswered.csv"
    assert run(stage, monkeypatch, file) == 0
    assert "4 unanswered questions of 30 days in 2 groups" in capsys.readouterr().out
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(COLUMNS)
    assert [list(row.values()) for row in rows] == [
        [
            *("What does it cost?", "How much is it?", "", "", "3", NOW.date().isoformat(), "0.20"),
            *("", "", ""),
        ],
        [
            *("Is R supported?", "", "", "", "1", NOW.date().isoformat(), "0.20"),
            *("7", "Which languages?", "Python and R."),
        ],
    ]
    rows[0]["answer"] = "Nothing."
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    assert corpus_main(["validate", str(file)]) == 0
    (entry,) = read_corpus(file)
    assert (entry.questions, entry.answer, entry.fields) == (
        ("What does it cost?", "How much is it?"),
        "Nothing.",
        {},
    )
    info = describe(file)
    assert info.notes == ("6 columns whose name begins with # skipped",)
    assert [warning.partition(": ")[2] for warning in info.warnings] == [
        "no answer to 'Is R supported?'; it is left out"
    ]


def test_a_table_that_may_have_been_filled_in_is_kept(stage, monkeypatch, tmp_path):
    file = tmp_path / "unanswered.csv"
    file.write_text("mine")
    with pytest.raises(CommandError, match="Name another file with OUTPUT="):
        run(stage, monkeypatch, file)
    assert file.read_text() == "mine"


def test_without_questions_there_is_no_table(stage, monkeypatch, tmp_path, capsys):
    assert run(stage, monkeypatch, tmp_path / "u.csv") == 0
    assert "No question went unanswered in the last 30 days." in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_off_says_what_to_do(target, stage, monkeypatch, tmp_path):
    keep(target, "Is R supported?")
    target.endpoint.is_off = True
    with pytest.raises(CommandError, match=r"Endpoint not found.* make on"):
        run(stage, monkeypatch, tmp_path / "u.csv")
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_somebody_asked_is_a_formula(tmp_path):
    """A spreadsheet would run it on the machine of whoever opens the table."""
    file = tmp_path / "u.csv"
    texts = ["=1+1", " +1", "-1", "@x", "\t=1", "a\nb\x00c", "Is 1 = 1?"]
    write(file, [[asked(text, score=None)] for text in texts], [None] * len(texts))
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["question"] for row in rows] == [
        *("'=1+1", "'+1", "'-1", "'@x", "'=1", "a b c", "Is 1 = 1?")
    ]
    assert {row["# best score"] for row in rows} == {""}


def test_the_nearest_entry_may_be_in_an_index(target, monkeypatch):
    index = VectorIndex("i" * 40, "vectors", "bake", "sha", "hybrid", 2, 1, 1)
    asked_index = []

    class Index:
        def get_parameter(self, **request: Any) -> dict[str, Any]:
            assert request == {"Name": "/faq-search/dev/index"}
            return {"Parameter": {"Value": index.to_json()}}

        def query_vectors(self, **request: Any) -> dict[str, Any]:
            assert not check_request("s3vectors", "QueryVectors", request)
            asked_index.append(request["queryVector"]["float32"])
            metadata = {"questions": ["Which languages?", "R?"], "answer": "Python and R."}
            found = [{"key": "1/7", "metadata": metadata}]
            return {"vectors": found if asked_index[-1] == [0, 1] else []}

    vectors = {"Is R supported?": [0, 1], "Why?": [1, 0]}

    class Asking(Deployed):
        def ask(self, endpoint: str, request: Any) -> Any:
            assert request["mode"] == "queries"
            packed = [struct.pack("<2f", *vectors[query]) for query in request["queries"]]
            return {"vectors": [base64.b64encode(each).decode() for each in packed]}, 0

    monkeypatch.setattr(target, "client", lambda *_: Index())
    settings = changed("dev", search={"engine": "s3_vectors"})
    stage = Asking(target, replace(Choice.read("dev"), settings=settings))
    expected = {key: HIT[key] for key in ("id", "question", "answer")}
    assert Model(stage).nearest(["Is R supported?", "Why?"]) == [expected, None]
