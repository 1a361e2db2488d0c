"""Custom::SmokeTest: what fails a deployment, and what does not."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from typing import Any

import pytest

from examination.smoke_test import SmokeTest
from tests.support.recorded_aws import AwsError

BAKE, OTHER = "a" * 64, "b" * 64
CPU, GPU = "faq-search-dev-c6i-xlarge", "faq-search-dev-g5-2xlarge"
CONFIGURATIONS = {CPU: "cpu-2", GPU: "gpu-2"}
PROBES = [
    {"query": "Is R supported?", "ids": ["9", "4", "2"], "scores": [0.92, 0.5, 0.4]},
    {"query": "What does it cost?", "ids": ["7", "1"], "scores": [0.8, 0.3]},
]


class Served:
    """An endpoint that answers as its bake recorded, unless it has errors to raise first."""

    def __init__(self, device: str) -> None:
        self.manifest: Any = {"bake_id": BAKE, "probes": PROBES, "device": device}
        self.found = [
            [{"id": e, "score": s} for e, s in zip(p["ids"], p["scores"], strict=True)]
            for p in PROBES
        ]
        self.requests: list[dict[str, Any]] = []
        self.errors: list[AwsError] = []

    def __call__(self, request: dict[str, Any]) -> Any:
        self.requests.append(request)
        if self.errors:
            raise self.errors.pop(0)
        if request["mode"] == "info":
            return self.manifest
        return {"bake_id": self.manifest["bake_id"], "results": self.found}


class Embedding(Served):
    """The same of a bake without a corpus."""

    def __init__(self, *numbers: float) -> None:
        super().__init__("cpu")
        self.manifest["probes"] = [{"query": "Is R supported?", "embedding": [0.6, 0.8]}]
        self.numbers = numbers

    def __call__(self, request: dict[str, Any]) -> Any:
        if request["mode"] == "info":
            return self.manifest
        assert request == {"queries": ["Is R supported?"], "mode": "queries"}
        vector = b64encode(struct.pack("<2f", *self.numbers)).decode()
        return {"bake_id": BAKE, "vectors": [vector], "terms": [[]]}


@pytest.mark.parametrize(("numbers", "status"), [((0.6, 0.8), "SUCCESS"), ((0.8, 0.6), "FAILED")])
def test_a_bake_without_a_corpus_is_asked_for_vectors(aws, test, numbers, status):
    aws.endpoints[CPU] = Embedding(*numbers)
    assert test()["Status"] == status


@pytest.fixture
def cpu(aws):
    return aws.endpoints.setdefault(CPU, Served("cpu"))


@pytest.fixture
def gpu(aws):
    return aws.endpoints.setdefault(GPU, Served("cuda (NVIDIA A10G)"))


@pytest.fixture
def test(aws, answers, pauses):
    smoke_test = SmokeTest()
    aws.configurations = {e: {"EndpointConfigName": c} for e, c in CONFIGURATIONS.items()}

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
                "EndpointConfigNames": [CONFIGURATIONS[e] for e in (CPU, GPU)],
                "Devices": ["cpu", "gpu"],
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
def test_endpoints_that_answer_as_recorded_pass(test, cpu, gpu, kind):
    answer = test(CPU, GPU, kind=kind)
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "SmokeTest")
    assert cpu.requests == gpu.requests
    assert cpu.requests == [
        {"mode": "info"},
        {
            "queries": ["Is R supported?", "What does it cost?"],
            "top_k": 3,
            "mode": "search",
        },
    ]


def test_an_update_that_sagemaker_rolled_back_fails(test, aws, cpu, gpu):
    """InService, and every answer right: only its configuration shows it, e.g. its count."""
    aws.configurations[GPU] = {"EndpointConfigName": "gpu-1", "FailureReason": "An alarm went off."}
    assert reason(test(CPU, GPU)) == (
        f"Endpoint {GPU} fails the smoke test: SageMaker rolled its update back (An alarm went"
        " off.): it serves with gpu-1 instead of gpu-2."
    )


def test_a_request_that_the_server_did_not_answer_in_time_is_repeated(test, cpu, pauses):
    """SageMaker reports it as an error of the model with the status 0."""
    cpu.errors = [AwsError("ModelError", "Received server error (0)", 424, OriginalStatusCode=0)]
    assert test()["Status"] == "SUCCESS"
    assert pauses == [1.0]


def test_another_bake_fails(test, cpu):
    cpu.manifest = {**cpu.manifest, "bake_id": OTHER}
    assert reason(test()) == (
        f"Endpoint {CPU} fails the smoke test: it serves bake {OTHER} instead of {BAKE}."
    )


def test_a_gpu_instance_that_computes_on_its_cpu_fails(test, cpu, gpu):
    """The answers would be the same, many times slower, at the price of a GPU."""
    gpu.manifest = {**gpu.manifest, "device": "cpu"}
    assert reason(test(CPU, GPU)) == (
        f"Endpoint {GPU} fails the smoke test: it computes on cpu, but should on its GPU."
    )


def test_answers_are_compared_with_the_probes_of_the_device(test, cpu, gpu):
    """A bake in int8: GPUs compute in fp32."""
    other = [{**probe, "scores": [s + 0.1 for s in probe["scores"]]} for probe in PROBES]
    cpu.manifest = {**cpu.manifest, "float_probes": other}
    gpu.manifest = {**gpu.manifest, "probes": other, "float_probes": PROBES}
    assert test(CPU, GPU)["Status"] == "SUCCESS"
    gpu.manifest = {**gpu.manifest, "float_probes": other}
    assert "but bake" in reason(test(CPU, GPU))


def test_so_does_an_endpoint_that_computes_on_a_gpu_it_should_not_have(test, cpu):
    cpu.manifest = {**cpu.manifest, "device": "cuda (NVIDIA A10G)"}
    assert "it computes on cuda (NVIDIA A10G), but should on its CPU." in reason(test())


def test_every_endpoint_that_fails_is_named(test, cpu, gpu):
    cpu.manifest = {**cpu.manifest, "probes": []}
    gpu.found[1] = [{"id": "5", "score": 0.8}, {"id": "1", "score": 0.3}]
    assert reason(test(CPU, GPU)) == (
        f"Endpoint {CPU} fails the smoke test: the manifest of its bake has no probes."
        f' Endpoint {GPU} fails the smoke test: for the query "What does it cost?" it finds'
        f" 5 (0.8000), 1 (0.3000), but bake {BAKE} recorded 7 (0.8000), 1 (0.3000)."
    )


@pytest.mark.parametrize("manifest", [b"<html>", [], {}, {"bake_id": BAKE, "probes": [{}]}])
def test_a_malformed_answer_fails(test, cpu, manifest):
    cpu.manifest = manifest
    assert f"Endpoint {CPU} fails the smoke test: " in reason(test())


def test_wrong_properties_are_answered_too(test, cpu):
    assert "could not be carried out" in reason(test(Tolerance="little"))


def test_a_test_without_time_fails(test, cpu):
    assert reason(test(seconds=0)).endswith("ran out before its probes could be asked.")


def model_error(status: int, message: str) -> AwsError:
    body = json.dumps({"code": status, "type": "InternalServerException", "message": message})
    return AwsError(
        "ModelError", "Received error", 424, OriginalStatusCode=status, OriginalMessage=body
    )


class TestErrors:
    @pytest.mark.parametrize(
        "error",
        [
            AwsError("ThrottlingException", "slow down", 400),
            AwsError("ServiceUnavailable", "not yet", 503),
            AwsError("ModelNotReadyException", "loading", 429),
            model_error(503, "no free worker"),
        ],
    )
    def test_momentary_ones_are_retried(self, test, cpu, pauses, error):
        cpu.errors = [error, error]
        assert test()["Status"] == "SUCCESS"
        assert pauses == [1, 2]

    def test_after_a_few_retries_they_fail(self, test, cpu, pauses):
        cpu.errors = [AwsError("ServiceUnavailable", "not yet", 503)] * 9
        assert "no answer: " in reason(test())
        assert pauses == [1, 2, 4, 8]

    def test_those_of_the_model_fail_at_once_in_its_words(self, test, cpu, pauses):
        cpu.errors = [model_error(400, "internal_error: the index is gone")]
        assert reason(test()).endswith("no answer: internal_error: the index is gone.")
        assert pauses == []

    def test_no_retry_exceeds_the_functions_time(self, test, cpu, pauses):
        cpu.errors = [AwsError("ServiceUnavailable", "not yet", 503)] * 9
        assert CPU in reason(test(seconds=32.5))
        assert pauses == [1, 2]


class TestRollback:
    """Nothing may fail while CloudFormation undoes a deployment."""

    @pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"])
    def test_problems_are_only_logged(self, aws, test, cpu, status, caplog):
        aws.stack_status = status
        cpu.manifest = {**cpu.manifest, "bake_id": OTHER}
        assert test()["Status"] == "SUCCESS"
        assert "it serves bake" in caplog.text

    def test_an_unknown_status_counts_as_a_deployment(self, aws, test, cpu):
        aws.broken["DescribeStacks"] = AwsError("AccessDenied", "no", 403)
        cpu.manifest = {**cpu.manifest, "bake_id": OTHER}
        assert CPU in reason(test())


def test_delete_asks_no_endpoint(aws, test, cpu):
    answer = test(kind="Delete")
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "SmokeTest")
    assert aws.requests == []
