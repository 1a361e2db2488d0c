"""The probe: what counts as a failure, and which bake of a fleet it counts against."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from examination.probe import Prober, print_metrics
from tests.support.recorded_aws import AwsError

CPU, GPU = "faq-search-dev-c6i-xlarge", "faq-search-dev-g5-2xlarge"
OLD, NEW = "a" * 64, "b" * 64
PARAMETER = "/faq-search/dev/deployment"
QUESTION = "How do I get started?"
ROUNDS = 5


class Fleet:
    """An endpoint whose bakes answer the requests in turn.

    For the question that they share every bake finds different entries.
    """

    def __init__(self, *bakes: str) -> None:
        self.bakes = bakes
        self.asked = 0
        self.broken: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.met = Counter[str]()

    def probes(self, bake: str) -> list[dict[str, Any]]:
        return [
            {"query": QUESTION, "ids": [f"{bake[0]}1", f"{bake[0]}2"], "scores": [0.9, 0.4]},
            {"query": f"Only in {bake[0]}?", "ids": ["7"], "scores": [0.8]},
        ]

    def __call__(self, request: dict[str, Any]) -> Any:
        bake = self.bakes[self.asked % len(self.bakes)]
        self.asked += 1
        self.met[bake] += 1
        if bake in self.broken:
            return self.broken[bake](request)
        return self.right(bake, request)

    def right(self, bake: str, request: dict[str, Any]) -> Any:
        probes = self.probes(bake)
        if request["mode"] == "info":
            return {"bake_id": bake, "probes": probes}
        assert request["mode"] == "search"
        assert request["top_k"] == 2
        own = {probe["query"]: probe for probe in probes}
        results = []
        for query in request["queries"]:
            probe = own.get(query, {"ids": ["9"], "scores": [0.1]})
            pairs = zip(probe["ids"], probe["scores"], strict=True)
            results.append([{"id": entry, "score": score} for entry, score in pairs])
        return {"bake_id": bake, "results": results}


def fails(request: dict[str, Any]) -> Any:
    raise AwsError("ModelError", "no", 424, OriginalStatusCode=400, OriginalMessage="broken")


def searches_fail(fleet: Fleet, bake: str) -> None:
    """Lets a bake say which it is, but answer no question."""
    fleet.broken[bake] = lambda request: (
        fleet.right(bake, request) if request["mode"] == "info" else fails(request)
    )


def finds_nonsense(fleet: Fleet, bake: str) -> None:
    def answer(request: dict[str, Any]) -> Any:
        answered = fleet.right(bake, request)
        for hits in answered.get("results", []):
            hits[0] = {"id": "0", "score": 0.99}
        return answered

    fleet.broken[bake] = answer


@pytest.fixture
def probe(aws, capsys, pauses):
    """Runs the function; returns its metrics by dimensions."""
    aws.parameters[PARAMETER] = "{}"
    probers = {}

    def run(*endpoints: str, seconds: float = 50) -> dict[tuple[str, ...], dict[str, Any]]:
        names = json.dumps(endpoints or (CPU,))
        if names not in probers:
            probers[names] = Prober(
                {
                    "APP_STAGE": "dev",
                    "ENDPOINT_NAMES": names,
                    "CORPUS_PARAMETER": PARAMETER,
                    "TOLERANCE": "0.005",
                }
            )
        probers[names].run(seconds)
        return metrics(capsys.readouterr().out)

    return run


def metrics(printed: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """What CloudWatch makes of the lines: values by dimension values without the stage."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in printed.splitlines():
        document = json.loads(line)
        [directive] = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "FaqSearch"
        assert document["_aws"]["Timestamp"] > 1.6e12
        [names] = directive["Dimensions"]
        assert document["Stage"] == "dev"
        key = tuple(document[name] for name in names if name != "Stage")
        for metric in directive["Metrics"]:
            found.setdefault(key, {})[metric["Name"]] = document[metric["Name"]]
    return found


def test_an_endpoint_that_answers_right_does_not_fail(aws, probe):
    fleet = aws.endpoints[CPU] = Fleet(OLD)
    found = probe()
    assert found[CPU,]["ProbeFailed"] == 0
    assert len(found[CPU,]["ProbeLatency"]) == ROUNDS
    assert found[CPU, OLD] == {"ProbeFailed": 0}
    assert fleet.asked == 2 * ROUNDS


class HalfWithoutCorpus(Fleet):
    """A fleet on its way from a bake with a corpus (OLD) to one without (NEW)."""

    def right(self, bake: str, request: dict[str, Any]) -> Any:
        mode = request["mode"]
        if bake == OLD:
            return fails(request) if mode == "queries" else super().right(bake, request)
        if mode == "info":
            return {"bake_id": bake, "probes": [{"query": QUESTION, "embedding": [0.6, 0.8]}]}
        if mode == "search":
            return fails(request)
        vector = b64encode(struct.pack("<2f", 0.6, 0.8)).decode()
        return {"bake_id": bake, "vectors": [vector] * len(request["queries"])}


def test_bakes_with_and_without_a_corpus_answer_side_by_side(aws, probe):
    # Which bake answers what changes from round to round.
    aws.endpoints[CPU] = HalfWithoutCorpus(OLD, NEW, OLD, NEW, NEW)
    found = probe()
    assert found[CPU, OLD] == found[CPU, NEW] == {"ProbeFailed": 0}


def test_every_endpoint_is_asked(aws, probe):
    aws.endpoints[CPU], aws.endpoints[GPU] = Fleet(OLD), Fleet(OLD)
    finds_nonsense(aws.endpoints[GPU], OLD)
    found = probe(CPU, GPU)
    assert (found[CPU,]["ProbeFailed"], found[GPU,]["ProbeFailed"]) == (0, 1)


class TestUpdate:
    """Old and new instances answer side by side, each from a different corpus."""

    # info and question meet different bakes, or each bake now and then
    @pytest.mark.parametrize("order", [(OLD, NEW), (OLD, OLD, NEW), (OLD, NEW, NEW, NEW, OLD)])
    def test_of_a_corpus_that_is_right_fails_nowhere(self, aws, probe, order):
        fleet = aws.endpoints[CPU] = Fleet(*order)
        for _ in range(3):
            found = probe()
            assert found[CPU,]["ProbeFailed"] == 0
            assert found[CPU, OLD] == found[CPU, NEW] == {"ProbeFailed": 0}
        assert fleet.met[NEW] > ROUNDS

    def test_a_wrong_answer_counts_against_its_bake(self, aws, probe, caplog):
        aws.endpoints[CPU] = Fleet(OLD, OLD, NEW)
        finds_nonsense(aws.endpoints[CPU], NEW)
        found = probe()
        assert found[CPU,]["ProbeFailed"] == 1
        assert (found[CPU, OLD]["ProbeFailed"], found[CPU, NEW]["ProbeFailed"]) == (0, 1)
        assert CPU in caplog.text
        assert NEW in caplog.text

    def test_errors_count_against_a_bake_that_answers_no_question(self, aws, probe):
        aws.endpoints[CPU] = Fleet(OLD, OLD, NEW)
        searches_fail(aws.endpoints[CPU], NEW)
        found = probe()
        assert (found[CPU, OLD]["ProbeFailed"], found[CPU, NEW]["ProbeFailed"]) == (0, 1)

    def test_errors_of_the_old_bake_do_not_count_against_the_new_one(self, aws, probe):
        """Otherwise a broken model could not be replaced: its errors would undo the update."""
        aws.endpoints[CPU] = Fleet(OLD, OLD, NEW)
        searches_fail(aws.endpoints[CPU], OLD)
        found = probe()
        assert found[CPU,]["ProbeFailed"] == 1
        assert (found[CPU, OLD]["ProbeFailed"], found[CPU, NEW]["ProbeFailed"]) == (1, 0)

    def test_afterwards_the_old_bakes_questions_are_forgotten(self, aws, probe):
        aws.endpoints[CPU] = Fleet(OLD, NEW)
        probe()
        aws.endpoints[CPU] = Fleet(NEW)
        probe()
        aws.requests.clear()
        probe()
        [asked] = {
            tuple(body["queries"])
            for body in (json.loads(r["Body"]) for r in aws.called("InvokeEndpoint"))
            if body["mode"] == "search"
        }
        assert asked == (QUESTION, "Only in b?")


class TestNoAnswer:
    def test_counts_against_the_endpoint_but_not_a_bake_that_was_not_met(self, aws, probe):
        aws.endpoints[CPU] = Fleet(OLD)
        aws.endpoints[CPU].broken[OLD] = fails
        found = probe()
        assert found[CPU,] == {"ProbeFailed": 1}
        assert (CPU, OLD) not in found

    @pytest.mark.parametrize(
        "answer",
        [b"<html>", [], {}, {"bake_id": OLD}, {"bake_id": OLD, "probes": []}],
    )
    def test_a_malformed_answer_counts_as_none(self, aws, probe, answer):
        aws.endpoints[CPU] = lambda request: answer
        assert probe()[CPU,] == {"ProbeFailed": 1}

    def test_too_few_results_are_a_failure(self, aws, probe):
        fleet = aws.endpoints[CPU] = Fleet(OLD)
        fleet.broken[OLD] = lambda request: (
            fleet.right(OLD, request)
            if request["mode"] == "info"
            else {"bake_id": OLD, "results": []}
        )
        assert probe()[CPU,]["ProbeFailed"] == 1

    def test_momentary_errors_do_not_count(self, aws, probe, pauses):
        errors = [AwsError("ServiceUnavailable", "not yet", 503)] * 2
        fleet = Fleet(OLD)

        def answer(request):
            if errors:
                raise errors.pop()
            return fleet(request)

        aws.endpoints[CPU] = answer
        assert probe()[CPU,]["ProbeFailed"] == 0
        assert pauses == [1, 2]

    def test_the_metrics_are_printed_within_the_functions_time(self, aws, probe, monkeypatch):
        fleet = aws.endpoints[CPU] = Fleet(OLD)
        clock = [0.0]
        monkeypatch.setattr("time.monotonic", lambda: clock[0])

        begun = []

        def slow(request):
            begun.append(clock[0])
            clock[0] += 13
            return fleet.right(OLD, request)

        fleet.broken[OLD] = slow
        found = probe(seconds=50)
        assert found[CPU,]["ProbeFailed"] == 0
        # A request may take 15 s, and the metrics must be printed.
        assert begun == [0, 13, 26]


class TestCorpusAge:
    def test_is_printed_in_days(self, aws, probe):
        aws.endpoints[CPU] = Fleet(OLD)
        aws.parameters_changed_at = datetime.now(UTC) - timedelta(days=3, hours=12)
        assert probe()[()]["CorpusAgeDays"] == pytest.approx(3.5, abs=0.01)

    def test_that_cannot_be_read_costs_no_other_metric(self, aws, probe):
        aws.endpoints[CPU] = Fleet(OLD)
        aws.broken["GetParameter"] = AwsError("AccessDeniedException", "no", 400)
        found = probe()
        assert found[CPU,]["ProbeFailed"] == 0
        assert () not in found


def test_a_line_has_no_more_values_than_cloudwatch_accepts(capsys):
    print_metrics({"Stage": "dev"}, {"Latency": (list(range(150)), "Milliseconds")})
    assert len(json.loads(capsys.readouterr().out)["Latency"]) == 100
