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

NO_UPDATES = "No updates are to be performed."
BUSY = f"Stack:{ARN} is in UPDATE_IN_PROGRESS state and can not be updated."
BROKEN = f"Stack:{ARN} is in UPDATE_ROLLBACK_FAILED state and can not be updated."


class CloudFormation(RecordedAws):
    """Answers the requests of executions.

    Attributes:
        refusals: of the next requests to update, one each.
        statuses: of the stack, one each time that it is described; the last one stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[str] = []
        self.statuses = ["UPDATE_COMPLETE"]

    def _update_stack(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.refusals:
            raise AwsError("ValidationError", self.refusals.pop(0))
        return {"StackId": ARN}

    def _describe_stacks(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request == {"StackName": STACK}
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"Stacks": [{"StackName": STACK, "StackStatus": status}]}


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
    return lambda serving: str(run_execution(definition, {"serving": serving})["status"])


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
