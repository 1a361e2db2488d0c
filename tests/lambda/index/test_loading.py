"""Loading an index: the function's steps in turn, and the state machine that has them done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contract.index_objects import WANTED_KEY
from contract.vector_index import VectorIndex
from stage.bundles import ROOT
from tests.support.index_scenarios import (
    ARTIFACTS,
    BAKE,
    BATCH_BUCKET,
    CORPUS,
    PARAMETER,
    IndexAws,
    index,
    outputs,
    vector_line,
)
from tests.support.recorded_aws import ACCOUNT, REGION, AwsError
from tests.support.state_machine import run_execution, tasks_through

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:IndexSteps"
DEFINITION = (ROOT / "stacks/index/workflow.asl.json").read_text(encoding="utf-8")


class Workflow:
    """Has an index loaded, by the steps that the state machine would call: interpreting it takes
    seconds.

    Attributes:
        actions: what the function was called for.
        seconds: that each invocation of the function has left.
    """

    def __init__(self, aws: IndexAws, handle: Callable[..., Any]) -> None:
        self._aws = aws
        self._handle = handle
        self.actions: list[str] = []
        self.seconds = 900.0
        aws.functions[FUNCTION] = self._invoke

    def _invoke(self, event: dict[str, Any]) -> Any:
        self.actions.append(event["action"])
        answer = self._handle(event, self.seconds)
        if event["action"] == "prepare" and answer["next"] == "encode":
            assert answer["wait_seconds"] >= 3
            answer["wait_seconds"] = 0
        return answer

    def interpret(self, wanted: dict[str, Any]) -> str:
        """Runs the state machine; returns the status of the execution."""
        self._want(wanted)
        return str(run_execution(DEFINITION, wanted, IndexStepsArn=FUNCTION)["status"])

    def run(self, wanted: dict[str, Any], asked: dict[str, Any] | None = None) -> str:
        """Loads an index, or another than the one that is wanted; returns how that ended."""
        self._want(wanted)
        task = {"index": asked or wanted}
        try:
            self._load(task)
        except Exception as error:
            cause = {
                "Error": type(error).__name__,
                "Cause": json.dumps({"errorMessage": str(error)}),
            }
            self._invoke({"action": "fail", "error": cause, **task})
            return "FAILED"
        return "SUCCEEDED"

    def _load(self, task: dict[str, Any]) -> None:
        prepared = self._invoke({"action": "prepare", **task})
        if prepared["next"] == "encode":
            task = {**task, "batch_id": prepared["batch_id"]}
            assert self._invoke({"action": "look", **task}) == {"done": True}
            plan = self._invoke({"action": "plan", **task})
            for part in plan["parts"]:
                cursor = None
                while not (cursor and cursor["done"]):
                    load = {"action": "load", "part": part, "cursor": cursor}
                    cursor = self._invoke({**load, "per_second": plan["per_second"], **task})
            self._invoke({"action": "finish", **task})
        if prepared["next"] != "superseded":
            self._invoke({"action": "switch", **task})

    def _want(self, wanted: dict[str, Any]) -> None:
        self._aws.objects[ARTIFACTS, WANTED_KEY] = json.dumps(wanted).encode()


@pytest.fixture
def workflow(index_aws: IndexAws, index_steps: Callable[..., Any], pauses: list[float]) -> Workflow:
    return Workflow(index_aws, index_steps)


@pytest.fixture
def interpreted(index_aws: IndexAws) -> Iterator[None]:
    with tasks_through(index_aws.client):
        yield


@pytest.mark.usefixtures("interpreted")
def test_from_a_corpus_to_what_is_searched(index_aws: IndexAws, workflow: Workflow) -> None:
    index_aws.outputs = outputs(1600, shards=2)
    workflow.seconds = 0  # so that each output takes several invocations
    assert workflow.interpret(index()) == "SUCCEEDED"
    assert workflow.actions.count("load") == 2 * (2 + 1)
    assert json.loads(index_aws.parameters[PARAMETER])["vectors"] == 1760


@pytest.mark.usefixtures("interpreted")
def test_an_execution_goes_on_where_everything_is_put(
    index_aws: IndexAws, workflow: Workflow
) -> None:
    nothing_found(index_aws)
    assert workflow.run(index()) == "FAILED"
    del index_aws._query_vectors
    workflow.actions.clear()
    assert workflow.interpret(index()) == "SUCCEEDED"
    assert workflow.actions == ["prepare", "look", "plan", "finish", "switch"]


@pytest.mark.usefixtures("interpreted")
def test_a_failure_ends_the_execution(index_aws: IndexAws, workflow: Workflow) -> None:
    bad_entry(index_aws)
    assert workflow.interpret(index()) == "FAILED"
    assert workflow.actions == ["prepare", "look", "fail"]
    assert "it has no answer" in index_aws.json(f"indexes/{'a' * 40}/load.json")["error"]


def test_what_is_left_of_a_loading(index_aws: IndexAws, workflow: Workflow) -> None:
    assert workflow.run(index()) == "SUCCEEDED"
    name = "a" * 40
    assert len(index_aws.indexes[name]) == 66
    [created] = index_aws.called("CreateIndex")
    assert (created["dimension"], created["distanceMetric"]) == (4, "cosine")
    assert index_aws.objects[ARTIFACTS, f"indexes/{name}/corpus/corpus.jsonl"] == CORPUS
    assert VectorIndex.from_json(index_aws.parameters[PARAMETER]) == VectorIndex(
        index_id=name,
        vector_bucket="faq-search-dev",
        bake_id=BAKE,
        corpus_sha256=index()["corpus"]["sha256"],
        ranking="hybrid",
        dimension=4,
        entries=60,
        vectors=66,
    )
    marker = index_aws.json(f"indexes/{name}/index.json")
    assert (marker["entries"], marker["vectors"], len(marker["probes"])) == (60, 66, 3)
    assert all(probe["found"][0]["distance"] < 0.005 for probe in marker["probes"])
    [(_, batch)] = [
        (arn, json.loads(each["input"]))
        for arn, each in index_aws.executions.items()
        if ":faq-search-dev-batch:" in arn
    ]
    assert batch["input"] == {
        "bucket": ARTIFACTS,
        "key": f"indexes/{name}/corpus/corpus.jsonl",
        "version_id": "v1",
        "size": len(CORPUS),
    }
    assert batch["instance_count"] == 2


def test_an_index_that_is_complete_is_switched_to_at_once(
    index_aws: IndexAws, workflow: Workflow
) -> None:
    workflow.run(index("a"))
    workflow.run(index("b"))
    assert json.loads(index_aws.parameters[PARAMETER])["index_id"] == "b" * 40
    workflow.actions.clear()
    assert workflow.run(index("a")) == "SUCCEEDED"
    assert workflow.actions == ["prepare", "switch"]
    assert json.loads(index_aws.parameters[PARAMETER])["index_id"] == "a" * 40


def test_an_index_that_was_pruned_is_loaded_anew(index_aws: IndexAws, workflow: Workflow) -> None:
    workflow.run(index())
    index_aws.indexes.clear()
    assert workflow.run(index()) == "SUCCEEDED"
    # Its vectors are still there, in the batch bucket.
    assert len(index_aws.indexes["a" * 40]) == 66


def test_an_output_too_long_for_one_invocation(index_aws: IndexAws, workflow: Workflow) -> None:
    index_aws.outputs = outputs(2400, shards=2)
    workflow.seconds = 0
    assert workflow.run(index()) == "SUCCEEDED"
    # 500 vectors a time; then it sees that nothing is left.
    assert workflow.actions.count("load") == 2 * (3 + 1)
    assert len(index_aws.indexes["a" * 40]) == 2640
    assert json.loads(index_aws.parameters[PARAMETER])["vectors"] == 2640


def test_what_is_in_the_index_is_not_put_again(index_aws: IndexAws, workflow: Workflow) -> None:
    put = index_aws._put_vectors
    calls = []

    def fails_the_third_time(request: dict[str, Any]) -> None:
        calls.append(request)
        if len(calls) > 2:
            raise AwsError("AccessDeniedException", "not authorized", 403)
        put(request)

    index_aws._put_vectors = fails_the_third_time  # type: ignore[method-assign]
    assert workflow.run(index()) == "FAILED"
    assert PARAMETER not in index_aws.parameters
    assert "not authorized" in index_aws.json(f"indexes/{'a' * 40}/load.json")["error"]
    index_aws._put_vectors = put  # type: ignore[method-assign]
    before = len(index_aws.called("PutVectors"))
    assert workflow.run(index()) == "SUCCEEDED"
    assert len(index_aws.called("PutVectors")) == before + 1
    assert len([arn for arn in index_aws.executions if ":faq-search-dev-batch:" in arn]) == 1
    assert len(index_aws.indexes["a" * 40]) == 66
    assert index_aws.json(f"indexes/{'a' * 40}/load.json")["error"] is None


def bad_entry(aws: IndexAws) -> str:
    aws.outputs[1] += b'{"id":"17","error":"line 18: it has no answer"}\n'
    return "The entry '17' of the corpus cannot be in the index: line 18: it has no answer."


def failed_batch(aws: IndexAws) -> str:
    aws.report = {"status": "failed", "reason": "Line 3 of the corpus cannot be used: not JSON."}
    return "The corpus could not be encoded: Line 3 of the corpus cannot be used: not JSON."


def other_artifact(aws: IndexAws) -> str:
    aws.report = {"deployment": {"bake_id": "c" * 64}}
    return f"it was encoded by the artifact {'c' * 64}"


def other_corpus(aws: IndexAws) -> str:
    aws.objects["assets", "a.jsonl"] = CORPUS[:-1]
    return "The corpus is not the one that was asked for"


def missing_answers(aws: IndexAws) -> str:
    aws.report = {"records": {"accepted": 61, "failed": 0}}
    return "The index is incomplete: it has 60 of 61 entries"


def repeated_id(aws: IndexAws) -> str:
    aws.outputs[1] = aws.outputs[1].replace(b'"0/1"', b'"0/0"')
    return "The index has 65 vectors, and 66 were put: entries with the same id"


def stopped_batch(aws: IndexAws) -> str:
    aws.batch_status = "ABORTED"
    return "which encodes the corpus, was stopped"


def nothing_found(aws: IndexAws) -> str:
    aws._query_vectors = lambda _request: {"vectors": []}  # type: ignore[method-assign]
    return "The index does not find the vector"


@pytest.mark.parametrize(
    "broken",
    [
        bad_entry,
        failed_batch,
        other_artifact,
        other_corpus,
        missing_answers,
        repeated_id,
        stopped_batch,
        nothing_found,
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_switched_to(
    index_aws: IndexAws, workflow: Workflow, broken: Callable[[IndexAws], str]
) -> None:
    workflow.run(index("b"))
    serving = index_aws.parameters[PARAMETER]
    sentence = broken(index_aws)
    assert workflow.run(index("a")) == "FAILED"
    assert sentence in index_aws.json(f"indexes/{'a' * 40}/load.json")["error"]
    assert index_aws.parameters[PARAMETER] == serving
    assert (ARTIFACTS, f"indexes/{'a' * 40}/index.json") not in index_aws.objects
    if broken is bad_entry:
        assert not index_aws.indexes["a" * 40]


def test_a_wrong_entry_that_takes_too_long_to_find_is_counted(
    index_aws: IndexAws, workflow: Workflow
) -> None:
    bad_entry(index_aws)
    workflow.seconds = 0
    assert workflow.run(index()) == "FAILED"
    error = index_aws.json(f"indexes/{'a' * 40}/load.json")["error"]
    assert error.startswith("Entries of the corpus that could not be encoded: 1. The outputs of")
    assert not index_aws.indexes["a" * 40]


def test_an_entry_without_an_answer_is_counted(index_aws: IndexAws, workflow: Workflow) -> None:
    index_aws.outputs[0] += b'{"id":"x","left_out":"its answer shows nothing"}\n'
    assert workflow.run(index()) == "SUCCEEDED"
    marker = index_aws.json(f"indexes/{'a' * 40}/index.json")
    assert (marker["entries"], marker["vectors"]) == (61, 66)


def test_a_later_deployment_wins(index_aws: IndexAws, workflow: Workflow) -> None:
    assert workflow.run(wanted=index("b"), asked=index("a")) == "SUCCEEDED"
    assert workflow.actions == ["prepare"]
    assert PARAMETER not in index_aws.parameters


def test_outputs_that_expired_are_made_again(index_aws: IndexAws, workflow: Workflow) -> None:
    index_aws._query_vectors, query = lambda _r: {"vectors": []}, index_aws._query_vectors  # type: ignore[method-assign]
    assert workflow.run(index()) == "FAILED"
    index_aws._query_vectors = query  # type: ignore[method-assign]
    for bucket, key in [*index_aws.objects]:
        if bucket == BATCH_BUCKET and key.endswith(".out"):
            del index_aws.objects[bucket, key]
    assert workflow.run(index()) == "SUCCEEDED"
    assert len([arn for arn in index_aws.executions if ":faq-search-dev-batch:" in arn]) == 2


def test_vectors_are_put_no_faster_than_the_service_allows(
    index_aws: IndexAws, workflow: Workflow, pauses: list[float]
) -> None:
    index_aws.outputs = outputs(2000, shards=1)
    workflow.run(index())
    assert sum(pauses) > 4 * 500 / 2400 - 1


def test_an_execution_that_was_stopped_leaves_no_batch(
    index_aws: IndexAws, index_steps: Callable[..., Any]
) -> None:
    index_aws.objects[ARTIFACTS, WANTED_KEY] = json.dumps(index()).encode()
    index_aws.batch_status = "RUNNING"
    prepared = index_steps({"action": "prepare", "index": index()})
    asked = {"index": index(), "batch_id": prepared["batch_id"]}
    assert index_steps({"action": "look", **asked}) == {"done": False}
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:faq-search-dev-index:{'a' * 40}-1"
    index_aws.executions[arn] = {"input": json.dumps(index()), "status": "ABORTED"}
    detail = {"executionArn": arn, "status": "ABORTED", "cause": "Another index was deployed."}
    index_steps({"detail": detail})
    [batch] = [e for a, e in index_aws.executions.items() if ":faq-search-dev-batch:" in a]
    assert batch["status"] == "ABORTED"
    said = index_aws.json(f"indexes/{'a' * 40}/load.json")["error"]
    assert said == "Loading was stopped: Another index was deployed."


def test_vectors_larger_than_a_request_are_divided() -> None:
    from index.put import groups

    lines = [vector_line(n)[:-2] + b',"x":"' + b"y" * 4_000_000 + b'"}\n' for n in range(9)]
    assert [len(group) for group in groups(lines)] == [3, 3, 3]
