"""Custom::VectorIndex: what a deployment starts, and what is left after the stage is removed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from index.resource import IndexResource
from tests.support.cloudformation_answers import Answers
from tests.support.index_scenarios import MACHINE, PARAMETER, IndexAws, index
from tests.support.recorded_aws import ACCOUNT, REGION, AwsError


@pytest.fixture
def request_(answers: Answers, index_resource: IndexResource):
    def send(kind: str, wanted: dict[str, Any] | None = None, remove: str = "true"):
        index_resource.handle(
            {
                "RequestType": kind,
                "ResponseURL": answers.url,
                "StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Index/1",
                "RequestId": "request",
                "LogicalResourceId": "Index",
                "PhysicalResourceId": "faq-search-dev",
                "ResourceProperties": {
                    "Index": json.dumps(wanted or index()),
                    "RemoveIndexes": remove,
                },
            }
        )
        return answers.received[-1]

    return send


def running(aws: IndexAws) -> list[str]:
    return [
        arn.rpartition(":")[2]
        for arn, each in aws.executions.items()
        if each["status"] == "RUNNING"
    ]


def test_a_deployment_starts_the_loading_and_does_not_wait(index_aws: IndexAws, request_) -> None:
    assert request_("Create")["Status"] == "SUCCESS"
    assert running(index_aws) == [f"{'a' * 40}-1"]
    [started] = index_aws.called("StartExecution")
    assert started["stateMachineArn"] == MACHINE
    assert json.loads(started["input"]) == index_aws.json("indexes/wanted.json") == index()


def test_the_same_index_is_loaded_once_at_a_time(index_aws: IndexAws, request_) -> None:
    request_("Create")
    request_("Update")
    assert running(index_aws) == [f"{'a' * 40}-1"]


def test_an_index_whose_loading_ended_is_loaded_again(index_aws: IndexAws, request_) -> None:
    request_("Create")
    for execution in index_aws.executions.values():
        execution["status"] = "FAILED"
    request_("Update")
    assert running(index_aws) == [f"{'a' * 40}-2"]


def test_another_corpus_stops_what_nobody_waits_for(index_aws: IndexAws, request_) -> None:
    request_("Create")
    assert request_("Update", index("b"))["Status"] == "SUCCESS"
    assert running(index_aws) == [f"{'b' * 40}-1"]
    assert index_aws.json("indexes/wanted.json") == index("b")


def test_a_loading_that_cannot_be_started_fails_the_deployment(
    index_aws: IndexAws, request_
) -> None:
    index_aws.broken["StartExecution"] = AwsError("AccessDeniedException", "not authorized", 403)
    answer = request_("Update")
    assert answer["Status"] == "FAILED"
    assert "could not be loaded" in answer["Reason"]
    assert "not authorized" in answer["Reason"]


def test_under_rollback_nothing_fails(index_aws: IndexAws, request_) -> None:
    index_aws.broken["StartExecution"] = AwsError("AccessDeniedException", "not authorized", 403)
    index_aws.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert request_("Update")["Status"] == "SUCCESS"


def test_nothing_is_left_of_a_stage_that_goes(index_aws: IndexAws, request_) -> None:
    request_("Create")
    index_aws.indexes = {"a" * 40: {}, "b" * 40: {}}
    index_aws.parameters[PARAMETER] = "{}"
    index_aws.stack_status = "DELETE_IN_PROGRESS"
    assert request_("Delete")["Status"] == "SUCCESS"
    assert (index_aws.indexes, index_aws.parameters, running(index_aws)) == ({}, {}, [])
    # What still runs makes no index again.
    assert index_aws.json("indexes/wanted.json") == {}
    assert request_("Delete")["Status"] == "SUCCESS"


def test_a_stage_that_keeps_its_data_keeps_its_indexes(index_aws: IndexAws, request_) -> None:
    index_aws.indexes = {"a" * 40: {}}
    index_aws.stack_status = "DELETE_IN_PROGRESS"
    assert request_("Delete", remove="false")["Status"] == "SUCCESS"
    assert [*index_aws.indexes] == ["a" * 40]


def test_indexes_stay_with_their_stack(index_aws: IndexAws, request_) -> None:
    index_aws.indexes = {"a" * 40: {}}
    index_aws.parameters[PARAMETER] = "{}"
    index_aws.stack_status = "UPDATE_IN_PROGRESS"
    assert request_("Delete")["Status"] == "SUCCESS"
    assert [*index_aws.indexes] == ["a" * 40]
    assert PARAMETER in index_aws.parameters
