"""The state machine of a batch, interpreted: from a file to its report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from local_aws import moto_adapter
from tests.contract.batch_scenarios import (
    BATCH_ID,
    BUCKET,
    ENVIRONMENT,
    BatchAws,
    import_steps,
    put_input,
)
from tests.contract.recorded_aws import ACCOUNT, REGION, AwsError, make_real_client

[names] = import_steps("batch_names")
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:BatchSteps"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/StateMachine"
DEFINITION = Path(__file__).parents[2] / "stacks" / "batch_workflow.asl.json"
CONTENT = b"".join(
    json.dumps({"id": n, "text_inputs": "unencodable" if n % 7 == 0 else "x" * 400}).encode()
    + (b"\nbad\n" if n % 100 == 0 else b"\n")
    for n in range(8000)
)


class Host:
    """Lets the tasks of executions act on the recorded AWS."""

    def __init__(self, aws: BatchAws) -> None:
        self._aws = aws

    def client(self, service: str, region: str) -> Any:
        return self._aws.client(service, region_name=region)

    def execution_ended(self, execution: moto_adapter.EndedExecution) -> None:
        pass


def definition() -> str:
    """As deployed, only without its pauses."""
    text = DEFINITION.read_text(encoding="utf-8")
    document = json.loads(text.replace("${Partition}", "aws").replace("${BatchStepsArn}", FUNCTION))
    wait = document["States"]["Wait"]
    del wait["SecondsPath"]
    wait["Seconds"] = 0
    for state in document["States"].values():
        for retry in state.get("Retry", []):
            if retry["MaxAttempts"]:
                retry.update({"IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 1})
    return json.dumps(document)


@pytest.fixture
def workflow(batch_aws, steps):
    """Run a batch to its end and return the execution's status.

    Every invocation of the function is out of time, so each step that can take several does.
    """
    batch_aws.functions[FUNCTION] = lambda event: steps(event, seconds=0)
    host = Host(batch_aws)
    moto_adapter.add_execution_host(host)

    def run(content: bytes = CONTENT, **changes: Any) -> str:
        asked = put_input(batch_aws, content) | changes
        stepfunctions = make_real_client("stepfunctions", region_name=REGION)
        machine = stepfunctions.create_state_machine(
            name="batch", definition=definition(), roleArn=ROLE
        )
        execution = stepfunctions.start_execution(
            stateMachineArn=machine["stateMachineArn"], name=BATCH_ID, input=json.dumps(asked)
        )
        give_up_at = time.monotonic() + 60
        while time.monotonic() < give_up_at:
            ended = stepfunctions.describe_execution(executionArn=execution["executionArn"])
            if ended["status"] != "RUNNING":
                return ended["status"]
            time.sleep(0.02)
        raise AssertionError("the execution does not end")

    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        yield run
    moto_adapter.remove_execution_host(host)


def test_a_batch_from_file_to_merged_answers(batch_aws, workflow):
    assert workflow(merge=True, instance_count=2) == "SUCCEEDED"
    report = batch_aws.report()
    assert report["status"] == "completed"
    assert report["records"] == {
        "accepted": 8000,
        "rejected": 80,
        "blank": 0,
        "embedded": 6857,
        "failed": 1143,
    }
    assert len(report["output"]) == len(batch_aws.keys("shards/")) == 4
    merged = batch_aws.text(report["merged"].removeprefix(f"s3://{BUCKET}/"))
    assert [json.loads(line)["id"] for line in merged.splitlines()] == list(range(8000))
    [request] = batch_aws.called("CreateTransformJob")
    assert request["TransformResources"]["InstanceCount"] == 2


def test_a_file_without_records_fails_with_its_sentence_and_no_job(batch_aws, workflow):
    assert workflow(b"a\nb\n") == "FAILED"
    report = batch_aws.report()
    assert report["status"] == "failed"
    assert report["reason"] == (
        "The file holds no record that can be embedded: 2 lines were rejected, 0 are blank."
    )
    assert report["rejects"] == [f"s3://{BUCKET}/output/{BATCH_ID}/rejects/00000.jsonl"]
    assert batch_aws.called("CreateTransformJob") == []


def test_a_file_that_is_no_text_fails_with_its_sentence(batch_aws, workflow):
    assert workflow(b"\x1f\x8b...") == "FAILED"
    assert batch_aws.report()["reason"].startswith("The file is compressed with gzip")
    # A fault of the file is not tried again.
    assert len(batch_aws.called("GetObject")) == 1


def test_trouble_that_passes_is_tried_again(batch_aws, workflow):
    put = batch_aws._put_object

    def fail_once(request: dict[str, Any]) -> None:
        batch_aws._put_object = put
        raise AwsError("SlowDown", "Please reduce your request rate.", 503)

    batch_aws._put_object = fail_once
    assert workflow() == "SUCCEEDED"
    assert batch_aws.report()["records"]["accepted"] == 8000


def test_a_job_that_fails_is_reported_with_what_exists(batch_aws, workflow):
    batch_aws.fail_shards = {1}
    batch_aws.transform_outcome = {"TransformJobStatus": "Failed", "FailureReason": "ClientError"}
    assert workflow() == "FAILED"
    report = batch_aws.report()
    assert report["status"] == "failed"
    assert "failed: ClientError." in report["reason"]
    assert report["records"]["embedded"] > 0


def test_a_job_that_is_stopped_ends_well(batch_aws, workflow):
    batch_aws.fail_shards = {1}
    batch_aws.transform_outcome = {"TransformJobStatus": "Stopped"}
    assert workflow() == "SUCCEEDED"
    assert batch_aws.report()["status"] == "stopped"


def test_answers_that_are_missing_fail_the_batch(batch_aws, workflow):
    batch_aws.fail_shards = {1}
    assert workflow() == "FAILED"
    assert batch_aws.report()["reason"].startswith("The results are incomplete: ")


def test_a_model_replaced_in_between_is_asked_for_again(batch_aws, workflow):
    batch_aws.model_names = {"CpuModel-2"}
    create = batch_aws._create_transform_job

    def deploy_and_create(request: dict[str, Any]) -> dict[str, Any]:
        batch_aws.parameters[ENVIRONMENT["MODEL_NAME_PARAMETER"]] = "CpuModel-2"
        return create(request)

    batch_aws._create_transform_job = deploy_and_create
    assert workflow() == "SUCCEEDED"
    assert batch_aws.report()["transform_job"]["name"] == names.transform_job_name(
        "faq-search-dev", BATCH_ID, 2
    )


def test_a_model_that_stays_away_ends_the_batch(batch_aws, workflow):
    batch_aws.model_names = set()
    assert workflow() == "FAILED"
    assert "replaced 3 times" in batch_aws.report()["reason"]


def test_a_job_there_is_already_is_waited_for(batch_aws, workflow):
    create = batch_aws._create_transform_job

    def create_and_say_nothing(request: dict[str, Any]) -> dict[str, Any]:
        create(request)
        return create(request)

    batch_aws._create_transform_job = create_and_say_nothing
    assert workflow() == "SUCCEEDED"
    assert batch_aws.report()["status"] == "completed"


def test_a_refused_job_is_reported(batch_aws, workflow):
    batch_aws.broken["CreateTransformJob"] = AwsError("AccessDeniedException", "not allowed here")
    assert workflow() == "FAILED"
    assert batch_aws.report()["reason"] == "The batch failed: not allowed here."


def test_a_job_that_can_no_longer_be_described_is_stopped(batch_aws, workflow):
    batch_aws.broken["DescribeTransformJob"] = AwsError("AccessDeniedException", "not allowed")
    assert workflow() == "FAILED"
    [job] = batch_aws.transform_jobs.values()
    assert job["TransformJobStatus"] == "Stopping"
