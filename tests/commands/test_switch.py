"""The on/off switch by hand: what it asks of CloudFormation, what it refuses, what it says."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError

from commands import console, switch
from commands.__main__ import main
from tests.support.recorded_aws import AwsError, RecordedAws

STACK = "FaqSearch-dev-Model"
ENDPOINT = "faq-search-dev-c6i-xlarge"
PARAMETERS = {"Serving": "on", "BootstrapVersion": "/cdk-bootstrap/hnb659fds/version"}
SWITCHED = [
    (STACK, "AWS::CloudFormation::Stack", "UPDATE_IN_PROGRESS", "User Initiated"),
    ("State", "AWS::SSM::Parameter", "UPDATE_COMPLETE", ""),
    (STACK, "AWS::CloudFormation::Stack", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ""),
    ("Endpoint", "AWS::SageMaker::Endpoint", "DELETE_COMPLETE", ""),
    (STACK, "AWS::CloudFormation::Stack", "UPDATE_COMPLETE", ""),
]
TAKEN_BACK = [
    (STACK, "AWS::CloudFormation::Stack", "UPDATE_IN_PROGRESS", "User Initiated"),
    ("Other", "AWS::SageMaker::Endpoint", "CREATE_FAILED", "Resource creation cancelled"),
    ("SmokeTest", "Custom::SmokeTest", "UPDATE_FAILED", "Endpoint x fails [the] smoke test: 400."),
    (STACK, "AWS::CloudFormation::Stack", "UPDATE_ROLLBACK_IN_PROGRESS", ""),
    (STACK, "AWS::CloudFormation::Stack", "UPDATE_ROLLBACK_COMPLETE", ""),
]


class CloudFormation(RecordedAws):
    """One stack, whose update takes a look or two; each look shows two events more."""

    def __init__(self) -> None:
        super().__init__()
        self.stack_status = "UPDATE_COMPLETE"
        self.stack_parameters = dict(PARAMETERS)
        self.deployed = True
        self.outcome_events = SWITCHED
        self.events: list[tuple[str, str, str, str]] = [
            (STACK, "AWS::CloudFormation::Stack", "UPDATE_FAILED", "of an earlier day"),
            (STACK, "AWS::CloudFormation::Stack", "UPDATE_ROLLBACK_COMPLETE", ""),
        ]
        self.to_come: list[tuple[str, str, str, str]] = []
        self.endpoint_statuses = {ENDPOINT: "InService"}
        self.leaves_endpoints = False
        self.changing = False

    def _describe_stacks(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self.deployed:
            raise AwsError("ValidationError", f"Stack with id {STACK} does not exist")
        parameters = [
            {"ParameterKey": k, "ParameterValue": v} for k, v in self.stack_parameters.items()
        ]
        stack = {
            "StackName": request["StackName"],
            "StackStatus": self.stack_status,
            "CreationTime": datetime.now(UTC),
            "Parameters": parameters,
        }
        return {"Stacks": [stack]}

    def _update_stack(self, request: dict[str, Any]) -> dict[str, Any]:
        self.to_come = list(self.outcome_events)
        if not self.leaves_endpoints:
            self.endpoint_statuses.clear()
        return {"StackId": "arn"}

    def _describe_stack_events(self, request: dict[str, Any]) -> dict[str, Any]:
        if "NextToken" not in request:
            self.events += self.to_come[:2]
            del self.to_come[:2]
        described = [
            {
                "EventId": str(number),
                "StackId": "arn",
                "StackName": STACK,
                "Timestamp": datetime.now(UTC),
                "LogicalResourceId": resource,
                "ResourceType": kind,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
            for number, (resource, kind, status, reason) in enumerate(self.events)
        ]
        end = int(request.get("NextToken", len(described)))
        start = max(0, end - 3)
        page = {"StackEvents": described[start:end][::-1]}
        return page | ({"NextToken": str(start)} if start else {})

    def _describe_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        if name not in self.endpoint_statuses:
            raise AwsError("ValidationException", f'Could not find endpoint "{name}".')
        return {"EndpointName": name, "EndpointStatus": self.endpoint_statuses[name]}

    def _delete_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.changing:
            raise AwsError("ValidationException", "Cannot update in-progress endpoint")
        del self.endpoint_statuses[request["EndpointName"]]
        return {}


@pytest.fixture
def aws(monkeypatch):
    recorded = CloudFormation()
    monkeypatch.setattr(boto3, "client", recorded.client)
    monkeypatch.setattr(switch.time, "sleep", lambda seconds: None)
    yield recorded
    assert not recorded.violations, recorded.violations


@pytest.fixture
def run(aws, monkeypatch, capsys):
    """Runs the command; gives exit status and what it printed."""

    def run(command: str, *options: str) -> tuple[int, str]:
        status = main([command, "--stage", "dev", *(options or ["--yes"])])
        return status, "".join(capsys.readouterr())

    return run


@pytest.mark.parametrize(("command", "now"), [("off", "on"), ("on", "off")])
def test_one_parameter_of_the_stack_changes_and_nothing_else(aws, run, command, now):
    aws.stack_parameters["Serving"] = now
    status, printed = run(command)
    assert status == 0
    assert f"dev is {command}" in printed
    [request] = aws.called("UpdateStack")
    token = request.pop("ClientRequestToken")
    assert token
    # No template, tags or role: those of the deployment stay.
    assert request == {
        "StackName": STACK,
        "UsePreviousTemplate": True,
        "Parameters": [
            {"ParameterKey": "Serving", "ParameterValue": command},
            {"ParameterKey": "BootstrapVersion", "UsePreviousValue": True},
        ],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    }


def test_it_is_over_when_the_endpoints_are_gone(aws, run):
    _, printed = run("off")
    lines = [line.split() for line in printed.splitlines() if line.startswith("  ")]
    assert [(line[0], line[2]) for line in lines] == [
        (status, resource) for resource, _, status, _ in SWITCHED
    ]
    assert "earlier day" not in printed


@pytest.mark.parametrize("serving", ["on", "off"])
def test_what_is_so_already_is_left_alone(aws, run, serving):
    aws.stack_parameters["Serving"] = serving
    if serving == "off":
        aws.endpoint_statuses.clear()
    status, printed = run(serving)
    assert (status, printed.splitlines()[0]) == (0, f"dev is already {serving}.")
    assert aws.called("UpdateStack") == aws.called("DeleteEndpoint") == []


class TestLeavesNothingToPayFor:
    """CloudFormation ends an update well even if SageMaker refused to delete an endpoint."""

    @pytest.mark.parametrize("serving", ["on", "off"])
    def test_but_deletes_what_the_stack_left(self, aws, run, serving):
        aws.stack_parameters["Serving"] = serving  # off: left by an earlier switch
        aws.leaves_endpoints = True
        status, printed = run("off")
        assert (status, aws.called("DeleteEndpoint")) == (0, [{"EndpointName": ENDPOINT}])
        assert f"{ENDPOINT} is still there (InService); deleting it" in printed

    def test_waits_for_what_is_being_deleted(self, aws, run, monkeypatch):
        aws.leaves_endpoints = True
        aws.endpoint_statuses[ENDPOINT] = "Deleting"
        looked = []

        def look(seconds):
            looked.append(seconds)
            if len(looked) > 8:
                aws.endpoint_statuses.clear()

        monkeypatch.setattr(switch.time, "sleep", look)
        assert run("off")[0] == 0
        assert aws.called("DeleteEndpoint") == []

    def test_and_says_at_once_if_it_may_not(self, aws, run):
        aws.leaves_endpoints = True
        aws.broken["DeleteEndpoint"] = AwsError("AccessDeniedException", "sagemaker:DeleteEndpoint")
        status, printed = run("off")
        assert (status, len(aws.called("DeleteEndpoint"))) == (1, 1)
        assert "sagemaker:DeleteEndpoint" in printed

    def test_or_fails_and_says_what_to_do(self, aws, run):
        aws.leaves_endpoints = aws.changing = True
        status, printed = run("off")
        assert status == 1
        assert printed.splitlines()[-1] == (
            f"{ENDPOINT}: still there (InService), and paid for. Delete it: aws sagemaker"
            f" delete-endpoint --endpoint-name {ENDPOINT}"
        )


def test_a_failed_update_names_the_first_thing_that_failed(aws, run):
    aws.stack_parameters["Serving"] = "off"
    aws.outcome_events = TAKEN_BACK
    status, printed = run("on")
    assert status == 1
    assert printed.splitlines()[-1] == (
        f"The update failed, and {STACK} is as it was before."
        " SmokeTest: Endpoint x fails [the] smoke test: 400."
    )
    assert "dev is on" not in printed


def test_an_update_that_cannot_go_back_says_how_to(aws, run):
    aws.outcome_events = [*TAKEN_BACK[:-1], (STACK, TAKEN_BACK[0][1], "UPDATE_ROLLBACK_FAILED", "")]
    status, printed = run("off")
    assert status == 1
    assert f"continue-update-rollback --stack-name {STACK}" in printed


class TestRefused:
    @pytest.mark.parametrize(
        "stack_status", ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"]
    )
    def test_while_the_stack_is_busy(self, aws, run, stack_status):
        aws.stack_status = stack_status
        status, printed = run("off")
        assert status == 1
        assert printed == (
            f"{STACK} cannot be updated now ({stack_status}). It is being changed; try again once"
            " that has finished.\n"
        )
        assert aws.called("UpdateStack") == []

    def test_when_somebody_was_faster(self, aws, run):
        def faster(request):
            aws.stack_status = "UPDATE_IN_PROGRESS"
            raise AwsError(
                "ValidationError",
                f"Stack:arn:{STACK}/1 is in UPDATE_IN_PROGRESS state and can not be updated.",
            )

        aws._update_stack = faster
        status, printed = run("off")
        assert status == 1
        assert f"{STACK} cannot be updated now (UPDATE_IN_PROGRESS)" in printed

    @pytest.mark.parametrize(
        ("stack_status", "remedy"),
        [
            ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
            ("ROLLBACK_COMPLETE", "delete it"),
            ("CREATE_FAILED", "delete it"),
            ("DELETE_FAILED", "delete it"),
        ],
    )
    def test_in_a_broken_state(self, aws, run, stack_status, remedy):
        aws.stack_status = stack_status
        status, printed = run("off")
        assert status == 1
        assert f"({stack_status})" in printed
        assert remedy in printed
        assert aws.called("UpdateStack") == []

    @pytest.mark.parametrize("command", ["on", "off", "status"])
    def test_without_a_deployment(self, aws, run, command):
        aws.deployed = False
        status, printed = run(command)
        assert (status, printed) == (1, f"There is no stack {STACK} in us-east-1: deploy first.\n")

    @pytest.mark.parametrize("command", ["on", "off", "status"])
    def test_of_a_version_without_a_switch(self, aws, run, command):
        del aws.stack_parameters["Serving"]
        status, printed = run(command)
        assert status == 1
        assert "older version" in printed
        assert "eploy again" in printed

    def test_an_unknown_stage(self, aws):
        assert main(["off", "--stage", "nowhere"]) == 1
        assert aws.requests == []

    def test_by_aws_in_its_own_words(self, aws, run):
        aws.broken["UpdateStack"] = AwsError("AccessDenied", "not authorized to UpdateStack", 403)
        status, printed = run("off")
        assert status == 1
        assert "not authorized to UpdateStack" in printed

    def test_without_credentials(self, aws, run, monkeypatch):
        def nobody(*_: Any, **__: Any) -> None:
            raise NoCredentialsError

        monkeypatch.setattr(boto3, "client", nobody)
        status, printed = run("off")
        assert status == 1
        assert "Unable to locate credentials" in printed


def test_ctrl_c_leaves_the_update_to_cloudformation(aws, run, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(switch.time, "sleep", interrupted)
    status, printed = run("off")
    assert status == 130
    assert "CloudFormation continues" in printed
    assert "make status STAGE=dev" in printed
    assert len(aws.called("UpdateStack")) == 1
    assert not [name for _, name, _ in aws.requests if name.startswith(("Cancel", "Delete"))]


class TestAsksBeforeOff:
    @pytest.fixture
    def terminal(self, monkeypatch):
        """Somebody who answers; lists what was asked."""
        asked = []

        def answer(text):
            monkeypatch.setattr(console.sys, "stdin", SimpleNamespace(isatty=lambda: True))
            monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or text)
            return asked

        return answer

    def test_and_names_what_stops(self, aws, run, terminal):
        asked = terminal("y")
        assert run("off", "--config", "config")[0] == 0
        assert "faq-search-dev-c6i-xlarge, 1 x ml.c6i.xlarge" in asked[0]
        assert "dev in us-east-1" in asked[0]
        assert len(aws.called("UpdateStack")) == 1

    @pytest.mark.parametrize("text", ["", "n", "yess"])
    def test_anything_but_yes_leaves_it_on(self, aws, run, terminal, text):
        terminal(text)
        status, printed = run("off", "--config", "config")
        assert (status, printed) == (1, "Nothing was changed.\n")
        assert aws.called("UpdateStack") == []

    def test_without_a_terminal_says_what_to_do(self, aws, run, monkeypatch):
        monkeypatch.setattr(console.sys, "stdin", io.StringIO())
        status, printed = run("off", "--config", "config")
        assert status == 1
        assert "make off STAGE=dev YES=1" in printed
        assert aws.called("UpdateStack") == []

    def test_on_needs_no_answer(self, aws, run, monkeypatch):
        aws.stack_parameters["Serving"] = "off"
        monkeypatch.setattr(console.sys, "stdin", io.StringIO())
        assert run("on", "--config", "config")[0] == 0


class TestStatus:
    def test_of_what_is_on_has_its_endpoints(self, aws, run):
        aws.stack_status = "UPDATE_IN_PROGRESS"
        status, printed = run("status")
        assert status == 0
        assert printed.splitlines() == [
            "dev is on (stack: UPDATE_IN_PROGRESS).",
            f"  {ENDPOINT}: InService",
        ]

    def test_of_what_is_off_has_none(self, aws, run):
        aws.stack_parameters["Serving"] = "off"
        aws.endpoint_statuses.clear()
        status, printed = run("status")
        assert status == 0
        assert printed.splitlines() == [
            "dev is off (stack: UPDATE_COMPLETE).",
            f"  {ENDPOINT}: none",
        ]

    def test_changes_nothing(self, aws, run):
        run("status")
        assert {name for _, name, _ in aws.requests} == {"DescribeStacks", "DescribeEndpoint"}
