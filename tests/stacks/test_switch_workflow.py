"""The schedule's state machine, executed: it waits for its turn and for the end of the update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contract.names import Names
from contract.switch import OFF, ON, PARAMETER
from tests.support.recorded_aws import ACCOUNT, REGION, AwsError, RecordedAws
from tests.support.state_machine import run_execution, tasks_through
from tests.support.synthesis import Templates, properties

STACK = Names("dev").stack("Model")
ARN = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/1"

ENDPOINTS = ["faq-search-dev-c6i-xlarge", "faq-search-dev-g5-2xlarge"]

NO_UPDATES = "No updates are to be performed."
BUSY = f"Stack:{ARN} is in UPDATE_IN_PROGRESS state and can not be updated."
BROKEN = f"Stack:{ARN} is in UPDATE_ROLLBACK_FAILED state and can not be updated."


class CloudFormation(RecordedAws):
    """Answers the requests of executions.

    Attributes:
        refusals: of the next requests to update, one each.
        statuses: of the stack, one each time that it is described; the last one stays.
        endpoints_left: how often SageMaker refuses to delete each that the stack has left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[str] = []
        self.statuses = ["UPDATE_COMPLETE"]
        self.endpoints_left: dict[str, int] = {}

    def _update_stack(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.refusals:
            raise AwsError("ValidationError", self.refusals.pop(0))
        return {"StackId": ARN}

    def _describe_stacks(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request == {"StackName": STACK}
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"Stacks": [{"StackName": STACK, "StackStatus": status}]}

    def _describe_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["EndpointName"] not in self.endpoints_left:
            raise AwsError("ValidationException", "Could not find endpoint.")
        return {"EndpointName": request["EndpointName"], "EndpointStatus": "Updating"}

    def _delete_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        self.endpoints_left[name] -= 1
        if self.endpoints_left[name] >= 0:
            raise AwsError("ValidationException", "Cannot update in-progress endpoint.")
        del self.endpoints_left[name]
        return {}


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    aws = CloudFormation()
    with tasks_through(aws.client):
        yield aws
    assert not aws.violations


@pytest.fixture
def switch(cloudformation: CloudFormation, everything: Templates) -> Callable[[str], str]:
    """Runs the workflow as deployed; returns the execution's status."""
    (machine,) = properties(everything["Operations"], "AWS::StepFunctions::StateMachine")
    definition = machine["DefinitionString"]
    given = {"endpoints": ENDPOINTS}
    return lambda serving: str(run_execution(definition, {"serving": serving, **given})["status"])


@pytest.mark.parametrize("serving", [ON, OFF])
def test_only_the_parameter_changes(
    cloudformation: CloudFormation, switch: Callable[[str], str], serving: str
) -> None:
    cloudformation.statuses = [
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_COMPLETE",
    ]
    assert switch(serving) == "SUCCEEDED"
    (update,) = cloudformation.called("UpdateStack")
    assert update["UsePreviousTemplate"] is True
    assert update["Parameters"] == [
        {"ParameterKey": PARAMETER, "ParameterValue": serving},
        {"ParameterKey": "BootstrapVersion", "UsePreviousValue": True},
    ]
    # The stack keeps its role, tags and notifications.
    assert set(update) == {"StackName", "UsePreviousTemplate", "Parameters", "Capabilities"}
    assert len(cloudformation.statuses) == 1, "it did not see the update through"


def test_nothing_to_do_is_done(
    cloudformation: CloudFormation, switch: Callable[[str], str]
) -> None:
    cloudformation.refusals = [NO_UPDATES]
    assert switch(OFF) == "SUCCEEDED"
    assert len(cloudformation.called("UpdateStack")) == 1


@pytest.mark.parametrize("refusals", [[], [NO_UPDATES]])
def test_switched_off_no_endpoint_is_left(
    cloudformation: CloudFormation, switch: Callable[[str], str], refusals: list[str]
) -> None:
    """CloudFormation reports success even if SageMaker refused to delete one."""
    cloudformation.refusals = refusals
    cloudformation.endpoints_left = {ENDPOINTS[0]: 2}
    assert switch(OFF) == "SUCCEEDED"
    assert cloudformation.called("DeleteEndpoint") == [{"EndpointName": ENDPOINTS[0]}] * 3
    assert not cloudformation.endpoints_left


def test_switched_on_no_endpoint_is_touched(
    cloudformation: CloudFormation, switch: Callable[[str], str]
) -> None:
    cloudformation.endpoints_left = dict.fromkeys(ENDPOINTS, 0)
    assert switch(ON) == "SUCCEEDED"
    assert not cloudformation.called("DescribeEndpoint") + cloudformation.called("DeleteEndpoint")


def test_it_waits_until_a_deployment_is_over(
    cloudformation: CloudFormation, switch: Callable[[str], str]
) -> None:
    cloudformation.refusals = [BUSY, BUSY, "Rate exceeded"]
    assert switch(OFF) == "SUCCEEDED"
    assert len(cloudformation.called("UpdateStack")) == 4


@pytest.mark.parametrize(
    "refusal", [BROKEN, f"Stack [{STACK}] does not exist", "User is not authorized"]
)
def test_what_cannot_pass_fails_at_once(
    cloudformation: CloudFormation, switch: Callable[[str], str], refusal: str
) -> None:
    cloudformation.refusals = [refusal]
    assert switch(ON) == "FAILED"
    assert len(cloudformation.called("UpdateStack")) == 1


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"])
def test_an_update_that_is_taken_back_fails_the_execution(
    cloudformation: CloudFormation, switch: Callable[[str], str], status: str
) -> None:
    """For example when AWS has no instances available in the morning."""
    cloudformation.statuses = ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", status]
    assert switch(ON) == "FAILED"
