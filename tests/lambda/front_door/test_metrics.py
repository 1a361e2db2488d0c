"""The metrics of the front door, as CloudWatch reads them from its log."""

from __future__ import annotations

import json

import pytest

from tests.support.front_door import Reply, event, front_door


@pytest.fixture(scope="module")
def loaded():
    # As deployed: by default Powertools would make the service a dimension.
    with front_door(POWERTOOLS_SERVICE_NAME="faq-search") as door:
        yield door


def hits(*scores):
    return [{"id": str(i), "question": None, "answer": "a", "score": s} for i, s in scores]


def found(*scores_of_queries):
    results = [hits(*enumerate(scores)) for scores in scores_of_queries]
    return Reply(json.dumps({"bake_id": "bake-1", "results": results}).encode())


def recorded(capsys):
    """Each metric's values, and the dimension sets."""
    values, dimensions = {}, set()
    for line in capsys.readouterr().out.splitlines():
        record = json.loads(line)
        for metrics in record["_aws"]["CloudWatchMetrics"]:
            assert metrics["Namespace"] == "FaqSearch"
            for names in metrics["Dimensions"]:
                dimensions.add(tuple((name, record[name]) for name in names))
            for metric in metrics["Metrics"]:
                values.setdefault(metric["Name"], []).extend(record[metric["Name"]])
    return values, dimensions


def test_the_stage_is_the_only_dimension(door, capsys):
    door.aws.reply("faq-c6i", found([0.9]))
    assert door.call(event(body={"queries": ["a"]}))[0] == 200
    values, dimensions = recorded(capsys)
    assert dimensions == {(("Stage", "local"),)}
    assert values["FailedOver"] == [0]
    assert values["ModelWait"][0] > 0


def test_a_failover_is_counted(door, capsys):
    door.aws.reply("faq-c6i", Reply.error(500, "InternalFailure", Message="no"))
    door.aws.reply("faq-g5", found([0.9]))
    door.call(event(body={"queries": ["a"]}))
    assert recorded(capsys)[0]["FailedOver"] == [1]


@pytest.mark.parametrize(
    ("scores", "unanswered"),
    [
        ([[0.9, 0.1]], 0),
        ([[0.4]], 0),
        ([[0.39, 0.38]], 1),
        ([[0.9], [0.1], [0.2]], 2),
        ([[]], 1),
        ([[-1.0000001]], 1),
    ],
)
def test_a_question_whose_best_hit_is_too_low_counts_as_unanswered(
    door, capsys, scores, unanswered
):
    door.aws.reply("faq-c6i", found(*scores))
    assert door.call(event(body={"queries": ["a"] * len(scores)}))[0] == 200
    values, _ = recorded(capsys)
    assert values["Questions"] == [len(scores)]
    assert values["UnansweredQuestions"] == [unanswered]


def test_a_question_whose_best_hit_is_not_ahead_counts_as_unanswered(door, capsys):
    app = door.handler.app
    app.environment = door.handler.environment.model_copy(update={"margin": 0.2})
    door.aws.reply("faq-c6i", found([0.9, 0.8], [0.9, 0.6]))
    door.call(event(body={"queries": ["a", "b"], "margin": 0}))
    assert recorded(capsys)[0]["UnansweredQuestions"] == [1]


@pytest.mark.parametrize("min_score", [-1, 0.95])
def test_what_a_caller_filters_changes_nothing_of_it(door, capsys, min_score):
    door.aws.reply("faq-c6i", found([0.9], [0.3]))
    door.call(event(body={"queries": ["a", "b"], "min_score": min_score}))
    values, _ = recorded(capsys)
    assert (values["Questions"], values["UnansweredQuestions"]) == ([2], [1])


def test_texts_that_are_not_questions_are_not_counted(door, capsys):
    door.aws.reply("faq-c6i", Reply(b'{"embedding": [[1.0]]}'))
    door.call(event("/embed", {"texts": ["a"]}))
    assert "Questions" not in recorded(capsys)[0]


def test_answers_that_say_it_is_switched_off_are_counted(door, capsys):
    """Their 503 is meant: an alarm for errors has to tell it from others."""
    gone = Reply.error(400, "ValidationError", Message="Endpoint faq-x of account 1 not found.")
    door.aws.reply("faq-c6i", gone)
    door.aws.reply("faq-g5", gone)
    ask = event(body={"queries": ["a"]})
    door.call(ask)
    assert "SwitchedOff" not in recorded(capsys)[0]
    door.reset().aws.ssm.serving = "off"
    door.aws.reply("faq-c6i", gone)
    door.aws.reply("faq-g5", gone)
    for request in (ask, event("/health", method="GET")):
        door.call(request)
        assert recorded(capsys)[0]["SwitchedOff"] == [1]
