"""Custom::SmokeTest: what fails a deployment, and what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from examination.smoke_test import SmokeTest
from tests.support.recorded_aws import AwsError

BAKE = "a" * 64
CPU, GPU = "faq-search-dev-c6i-xlarge", "faq-search-dev-g5-2xlarge"
PROBES = [
    {"query": "Is R supported?", "ids": ["9", "4", "2"], "scores": [0.92, 0.5, 0.4]},
    {"query": "What does it cost?", "ids": ["7", "1"], "scores": [0.8, 0.3]},
]


def hits(probe: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"id": entry, "score": score}
        for entry, score in zip(probe["ids"], probe["scores"], strict=True)
    ]


class Served:
    """An endpoint's model: tells its manifest and finds what its probes say."""

    def __init__(self) -> None:
        self.manifest = {"bake_id": BAKE, "probes": PROBES}
        self.found = [hits(probe) for probe in PROBES]
        self.requests: list[dict[str, Any]] = []
        self.troubles: list[AwsError] = []

    def __call__(self, request: dict[str, Any]) -> Any:
        self.requests.append(request)
        if self.troubles:
            raise self.troubles.pop(0)
        if request["mode"] == "info":
            return self.manifest
        return {"bake_id": self.manifest["bake_id"], "results": self.found}


@pytest.fixture
def cpu(aws):
    return aws.endpoints.setdefault(CPU, Served())


@pytest.fixture
def gpu(aws):
    return aws.endpoints.setdefault(GPU, Served())


@pytest.fixture
def test(aws, answers, pauses):
    smoke_test = SmokeTest()

    def run(*endpoints: str, kind: str = "Update", seconds: float = 300, **properties: Any):
        event = {
            "RequestType": kind,
            "ResponseURL": answers.url,
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/Model/1",
            "RequestId": "request",
            "LogicalResourceId": "SmokeTest",
            "ResourceProperties": {
                "BakeId": BAKE,
                "EndpointNames": list(endpoints or (CPU,)),
                "EndpointConfigNames": ["config-1"],
                "Tolerance": "0.005",
                **properties,
            },
        }
        if kind != "Create":
            event["PhysicalResourceId"] = "SmokeTest"
        smoke_test.handle(event, seconds)
        return answers.received[-1]

    return run


def reason(answer: dict[str, Any]) -> str:
    assert answer["Status"] == "FAILED"
    return answer["Reason"]


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_endpoints_that_answer_like_the_bake_pass(test, cpu, gpu, kind):
    answer = test(CPU, GPU, kind=kind)
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "SmokeTest"
    assert cpu.requests == gpu.requests
    assert cpu.requests[1] == {
        "queries": ["Is R supported?", "What does it cost?"],
        "top_k": 3,
        "mode": "search",
    }


def test_another_bake_fails(test, cpu):
    cpu.manifest = {**cpu.manifest, "bake_id": "b" * 64}
    sentence = reason(test())
    assert sentence == (
        f"Endpoint {CPU} fails the smoke test: it serves bake {'b' * 64} instead of {BAKE}."
    )


def test_the_sentence_names_endpoint_probe_and_difference(test, cpu, gpu):
    gpu.found = [hits(PROBES[0]), [{"id": "5", "score": 0.8}, {"id": "1", "score": 0.3}]]
    sentence = reason(test(CPU, GPU))
    assert sentence == (
        f'Endpoint {GPU} fails the smoke test: for the query "What does it cost?" it finds '
        f"5 (0.8000), 1 (0.3000), but bake {BAKE} recorded 7 (0.8000), 1 (0.3000)."
    )


def test_every_failing_endpoint_is_named(test, cpu, gpu):
    cpu.manifest = {**cpu.manifest, "bake_id": "b" * 64}
    gpu.manifest = {**gpu.manifest, "probes": []}
    sentence = reason(test(CPU, GPU))
    assert f"Endpoint {CPU} fails" in sentence
    assert f"Endpoint {GPU} fails the smoke test: the manifest of its bake has no" in sentence


class TestTolerance:
    def served(self, *found: tuple[str, float]) -> list[dict[str, Any]]:
        return [{"id": entry, "score": score} for entry, score in found]

    @pytest.mark.parametrize(
        "found",
        [
            [("9", 0.924), ("4", 0.496), ("2", 0.4)],
            # More than the probe holds, because another probe is longer.
            [("9", 0.92), ("4", 0.5), ("2", 0.4), ("8", 0.39)],
        ],
    )
    def test_within_it_passes(self, test, cpu, found):
        cpu.found = [self.served(*found), hits(PROBES[1])]
        assert test()["Status"] == "SUCCESS"

    @pytest.mark.parametrize(
        "found",
        [
            [("9", 0.926), ("4", 0.5), ("2", 0.4)],
            [("4", 0.92), ("9", 0.5), ("2", 0.4)],
            [("9", 0.92), ("4", 0.5), ("3", 0.5)],
            [("9", 0.92), ("4", 0.5)],
            [("9", 0.92), ("9", 0.92), ("2", 0.4)],
            [("9", float("nan")), ("4", 0.5), ("2", 0.4)],
            [],
        ],
    )
    def test_beyond_it_fails(self, test, cpu, found):
        cpu.found = [self.served(*found), hits(PROBES[1])]
        assert CPU in reason(test())

    @pytest.fixture
    def tied(self, cpu):
        probe = {"query": "q", "ids": ["a", "b", "c"], "scores": [0.9, 0.5, 0.5]}
        cpu.manifest = {"bake_id": BAKE, "probes": [probe]}
        return cpu

    def test_tied_entries_may_change_places(self, test, tied):
        tied.found = [self.served(("a", 0.9), ("c", 0.5), ("b", 0.5))]
        assert test()["Status"] == "SUCCESS"

    def test_an_entry_tied_with_the_last_place_may_hold_it(self, test, tied):
        tied.found = [self.served(("a", 0.9), ("b", 0.5), ("d", 0.5))]
        assert test()["Status"] == "SUCCESS"

    def test_an_unknown_entry_above_the_tie_may_not(self, test, tied):
        tied.found = [self.served(("d", 0.9), ("b", 0.5), ("c", 0.5))]
        assert "d (0.9000)" in reason(test())

    def test_a_smaller_tolerance_is_heeded(self, test, cpu):
        cpu.found = [self.served(("9", 0.924), ("4", 0.5), ("2", 0.4)), hits(PROBES[1])]
        assert CPU in reason(test(Tolerance="0.001"))


def model_error(status: int, message: str) -> AwsError:
    body = json.dumps({"code": status, "type": "InternalServerException", "message": message})
    return AwsError(
        "ModelError", "Received error", 424, OriginalStatusCode=status, OriginalMessage=body
    )


class TestTrouble:
    @pytest.mark.parametrize(
        "trouble",
        [
            AwsError("ThrottlingException", "slow down", 400),
            AwsError("ServiceUnavailable", "not yet", 503),
            AwsError("ModelNotReadyException", "loading", 429),
            model_error(503, "no free worker"),
        ],
    )
    def test_that_passes_is_waited_out(self, test, cpu, pauses, trouble):
        cpu.troubles = [trouble, trouble]
        assert test()["Status"] == "SUCCESS"
        assert pauses == [1, 2]

    def test_that_lasts_fails_after_a_few_tries(self, test, cpu, pauses):
        cpu.troubles = [AwsError("ServiceUnavailable", "not yet", 503)] * 9
        assert "no answer: " in reason(test())
        assert pauses == [1, 2, 4, 8]

    def test_of_the_models_own_is_told_in_its_words_at_once(self, test, cpu, pauses):
        cpu.troubles = [model_error(400, "internal_error: the index is gone")]
        sentence = reason(test())
        assert sentence.endswith("no answer: internal_error: the index is gone.")
        assert pauses == []

    def test_is_not_waited_out_beyond_the_functions_time(self, test, cpu, pauses):
        cpu.troubles = [AwsError("ServiceUnavailable", "not yet", 503)] * 9
        assert CPU in reason(test(seconds=32.5))
        assert pauses == [1, 2]

    @pytest.mark.parametrize("manifest", [b"<html>", [], {}, {"bake_id": BAKE, "probes": [{}]}])
    def test_with_the_form_of_an_answer_is_told(self, test, cpu, manifest):
        cpu.manifest = manifest
        assert f"Endpoint {CPU} fails the smoke test: " in reason(test())

    def test_of_any_other_kind_is_answered_too(self, test, cpu):
        assert "could not be carried out" in reason(test(Tolerance="little"))


class TestRollback:
    """Nothing may fail while CloudFormation undoes a deployment."""

    @pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"])
    def test_faults_are_only_logged(self, aws, test, cpu, status, caplog):
        aws.stack_status = status
        cpu.manifest = {**cpu.manifest, "bake_id": "b" * 64}
        assert test()["Status"] == "SUCCESS"
        assert "it serves bake" in caplog.text

    def test_an_unreachable_endpoint_does_not_fail_it(self, aws, test, cpu):
        aws.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
        cpu.troubles = [AwsError("ValidationError", "Endpoint not found", 400)] * 9
        assert test()["Status"] == "SUCCESS"

    def test_an_unknown_status_counts_as_a_deployment(self, aws, test, cpu):
        aws.broken["DescribeStacks"] = AwsError("AccessDenied", "no", 403)
        cpu.manifest = {**cpu.manifest, "bake_id": "b" * 64}
        assert CPU in reason(test())


def test_delete_asks_nobody(aws, test, cpu):
    answer = test(kind="Delete")
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "SmokeTest"
    assert aws.requests == []
