"""The batch's state machine, interpreted: from the file's name to the report.

With the real function behind it, on an AWS in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contract.batch_objects import transform_job_name
from contract.names import Names
from stage.bundles import ROOT
from tests.support.batch_scenarios import BATCH_ID, BUCKET, BatchAws, put_input
from tests.support.recorded_aws import ACCOUNT, REGION, AwsError
from tests.support.state_machine import run_execution, tasks_through

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:BatchSteps"
DEFINITION = (ROOT / "stacks/batch/workflow.asl.json").read_text(encoding="utf-8")
# Enough for several shards an instance; 8,000 records, of which every seventh has no vector.
LONG = b"".join(
    b'{"id": %d, "text_inputs": "%s"}\n' % (n, b"x" * 400 if n % 7 else b"unencodable")
    for n in range(8000)
)
LINES = b"".join(b'{"id": %d, "text_inputs": "question %d"}\n' % (n, n) for n in range(30))
JOB = transform_job_name("faq-search-dev", BATCH_ID)


class Workflow:
    """Runs the state machine.

    Attributes:
        status: of the execution, once it has ended.
        events: what the function was called with.
        seconds: that each invocation of the function has left.
        before: by action, what is done before the function does it.
    """

    def __init__(self, aws: BatchAws, handle: Callable[..., Any]) -> None:
        self._aws = aws
        self._handle = handle
        self.events: list[dict[str, Any]] = []
        self.seconds = 900.0
        self.before: dict[str, Callable[[], None]] = {}
        aws.functions[FUNCTION] = self._invoke

    def _invoke(self, event: dict[str, Any]) -> Any:
        self.events.append(event)
        self.before.get(event["action"], lambda: None)()
        answer = self._handle(event, self.seconds)
        if event["action"] == "prepare":
            assert answer["wait_seconds"] >= 3
            answer["wait_seconds"] = 0
        return answer

    @property
    def actions(self) -> list[str]:
        return [event["action"] for event in self.events]

    def run(self, content: bytes = LINES, **asked: Any) -> str:
        """Embed a file of this content; returns the status of the execution."""
        task = {**put_input(self._aws, content), **asked}
        ended = run_execution(DEFINITION, task, BATCH_ID, BatchStepsArn=FUNCTION)
        return str(ended["status"])


@pytest.fixture
def workflow(batch_aws: BatchAws, steps: Callable[..., Any]) -> Iterator[Workflow]:
    with tasks_through(batch_aws.client):
        yield Workflow(batch_aws, steps)


def test_a_batch_from_file_to_report(batch_aws: BatchAws, workflow: Workflow) -> None:
    assert workflow.run(LINES + b"not JSON\n\n") == "SUCCEEDED"
    assert workflow.actions == ["split", "prepare", "gather"]
    report = batch_aws.report()
    assert report["status"] == "completed"
    assert report["records"] == {
        "accepted": 30,
        "rejected": 1,
        "blank": 1,
        "embedded": 30,
        "failed": 0,
    }
    (job,) = batch_aws.called("CreateTransformJob")
    assert job["TransformJobName"] == report["transform_job"]["name"] == JOB
    # Every field that the function decides on reaches SageMaker.
    (prepared,) = (e["transform_job"] for e in workflow.events if e["action"] == "gather")
    assert job == prepared


def test_a_file_too_long_for_one_invocation_in_each_step(
    batch_aws: BatchAws, workflow: Workflow
) -> None:
    workflow.seconds = 0
    assert workflow.run(LONG, instance_count=2, merge=True) == "SUCCEEDED"
    report = batch_aws.report()
    shards = len(batch_aws.keys("shards/"))
    assert workflow.actions.count("split") == len(report["output"]) == shards == 4
    assert workflow.actions.count("gather") > shards
    assert (report["records"]["embedded"], report["records"]["failed"]) == (6857, 1143)
    merged = batch_aws.text(report["merged"].removeprefix(f"s3://{BUCKET}/"))
    assert [json.loads(line)["id"] for line in merged.splitlines()] == list(range(8000))
    (job,) = batch_aws.called("CreateTransformJob")
    assert job["TransformResources"]["InstanceCount"] == 2


def test_a_job_is_looked_at_until_it_ends(batch_aws: BatchAws, workflow: Workflow) -> None:
    outcome, batch_aws.transform_outcome = batch_aws.transform_outcome, {}
    describe = batch_aws._describe_transform_job

    def third_time(request: dict[str, Any]) -> dict[str, Any]:
        if len(batch_aws.called("DescribeTransformJob")) == 3:
            batch_aws.transform_outcome = outcome
        return describe(request)

    batch_aws._describe_transform_job = third_time
    assert workflow.run() == "SUCCEEDED"
    assert len(batch_aws.called("DescribeTransformJob")) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\n\nnot JSON\n", "no record that can be embedded"),
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00", "gzip"),
    ],
)
def test_a_file_that_cannot_be_embedded_fails_with_a_sentence(
    batch_aws: BatchAws, workflow: Workflow, content: bytes, reason: str
) -> None:
    assert workflow.run(content) == "FAILED"
    assert batch_aws.report()["status"] == "failed"
    assert reason in batch_aws.report()["reason"]
    assert workflow.actions.count("split") == 1, "retrying cannot help"
    assert batch_aws.called("CreateTransformJob") == []


def test_a_model_that_is_replaced_in_between(batch_aws: BatchAws, workflow: Workflow) -> None:
    batch_aws.model_names = {"CpuModel-2"}

    def deployed_by_then() -> None:
        if workflow.actions.count("prepare") == 2:
            batch_aws.parameters[Names("dev").model_name_parameter(gpu=False)] = "CpuModel-2"

    workflow.before["prepare"] = deployed_by_then
    assert workflow.run() == "SUCCEEDED"
    assert batch_aws.report()["status"] == "completed"
    assert batch_aws.report()["transform_job"]["name"] == f"{JOB}-2"
    assert list(batch_aws.transform_jobs) == [f"{JOB}-2"]


def test_a_model_that_is_never_there(batch_aws: BatchAws, workflow: Workflow) -> None:
    batch_aws.model_names = set()
    assert workflow.run() == "FAILED"
    assert workflow.actions == ["split", *["prepare"] * 4, "fail"]
    assert "replaced 3 times" in batch_aws.report()["reason"]


def test_a_job_that_was_created_without_our_knowing_is_waited_for(
    batch_aws: BatchAws, workflow: Workflow
) -> None:
    create = batch_aws._create_transform_job

    def answer_lost(request: dict[str, Any]) -> dict[str, Any]:
        create(request)
        raise AwsError("InternalFailure", "Something went wrong", 500)

    batch_aws._create_transform_job = answer_lost
    assert workflow.run() == "SUCCEEDED"
    assert list(batch_aws.transform_jobs) == [JOB]


def test_a_quota_that_is_used_up_is_waited_for(batch_aws: BatchAws, workflow: Workflow) -> None:
    create = batch_aws._create_transform_job

    def later(request: dict[str, Any]) -> dict[str, Any]:
        if len(batch_aws.called("CreateTransformJob")) == 1:
            raise AwsError("ResourceLimitExceeded", "The account-level service limit ...")
        return create(request)

    batch_aws._create_transform_job = later
    assert workflow.run() == "SUCCEEDED"


def test_a_job_that_fails(batch_aws: BatchAws, workflow: Workflow) -> None:
    batch_aws.transform_outcome = {
        "TransformJobStatus": "Failed",
        "FailureReason": "The container ran out of memory",
    }
    batch_aws.fail_shards = {1}
    assert workflow.run(instance_count=2) == "FAILED"
    assert workflow.actions == ["split", "prepare", "gather"]
    report = batch_aws.report()
    assert (report["status"], len(report["output"])) == ("failed", 1)
    assert "The container ran out of memory" in report["reason"]


def test_answers_that_are_missing_fail_the_batch(batch_aws: BatchAws, workflow: Workflow) -> None:
    batch_aws.fail_shards = {1}
    assert workflow.run(instance_count=2) == "FAILED"
    assert batch_aws.report()["reason"].startswith("The results are incomplete: ")


def test_a_job_that_is_stopped_keeps_what_there_is(batch_aws: BatchAws, workflow: Workflow) -> None:
    batch_aws.transform_outcome = {"TransformJobStatus": "Stopped"}
    batch_aws.fail_shards = {1}
    assert workflow.run(instance_count=2) == "SUCCEEDED"
    report = batch_aws.report()
    assert (report["status"], len(report["output"])) == ("stopped", 1)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("GetParameter", "AccessDeniedException"),
        ("CreateTransformJob", "ValidationException"),
        ("DescribeTransformJob", "AccessDeniedException"),
        ("ListObjectsV2", "AccessDenied"),
    ],
)
def test_an_error_in_any_step_is_reported_and_leaves_no_job(
    batch_aws: BatchAws, workflow: Workflow, operation: str, code: str
) -> None:
    batch_aws.broken[operation] = AwsError(code, "That is not allowed here")
    workflow.before["fail"] = batch_aws.broken.clear
    assert workflow.run() == "FAILED"
    assert workflow.actions[-1] == "fail"
    report = batch_aws.report()
    assert (report["status"], report["batch_id"]) == ("failed", BATCH_ID)
    assert "That is not allowed here" in report["reason"]
    running = [j for j in batch_aws.transform_jobs.values() if "InProg" in j["TransformJobStatus"]]
    assert running == []


def test_a_step_that_breaks_once_is_done_again(batch_aws: BatchAws, workflow: Workflow) -> None:
    def first_time() -> None:
        if workflow.actions.count("split") == 1:
            raise RuntimeError("the machine went away")

    workflow.before["split"] = first_time
    assert workflow.run() == "SUCCEEDED"
    assert workflow.actions == ["split", "split", "prepare", "gather"]


def test_a_batch_that_cannot_be_reported_fails_so_that_the_event_rule_reports(
    batch_aws: BatchAws, workflow: Workflow
) -> None:
    batch_aws.broken["PutObject"] = AwsError("AccessDenied", "no", 403)
    assert workflow.run() == "FAILED"
    assert workflow.actions[-1] == "fail"
