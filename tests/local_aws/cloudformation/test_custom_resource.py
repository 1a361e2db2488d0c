"""Custom resources get requests, answer and fail as on AWS."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest

from local_aws.cloudformation import custom_resource
from local_aws.cloudformation.custom_resource import RESPONSE_PATH, stringified
from local_aws.context import Context
from tests.support.cloudformation import Deployer

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:maker"


class FakeLambda:
    """Calls `handler(event)` instead of a deployed function; RuntimeError becomes its error."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.handler = lambda event: None

    def invoke(self, FunctionName, Payload):  # noqa: N803
        assert FunctionName == FUNCTION
        event = json.loads(Payload)
        self.events.append(event)
        try:
            self.handler(event)
        except RuntimeError as error:
            body = {"errorType": "RuntimeError", "errorMessage": str(error)}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(body).encode())}
        return {"Payload": io.BytesIO(b"null")}

    def kinds(self) -> list[tuple[str, str | None]]:
        return [(event["RequestType"], event.get("PhysicalResourceId")) for event in self.events]


@pytest.fixture
def function(monkeypatch):
    fake = FakeLambda()
    monkeypatch.setattr(Context, "client", lambda *_: fake)
    return fake


@pytest.fixture
def cloudformation(tmp_path, function):
    return Deployer(tmp_path)


@pytest.fixture
def answer(cloudformation):
    """Puts an answer to the ResponseURL of an event."""

    def put(event, status="SUCCESS", physical_id="made", **more):
        ids = {key: event[key] for key in ("RequestId", "StackId", "LogicalResourceId")}
        body = {**ids, "Status": status, "PhysicalResourceId": physical_id, **more}
        token = event["ResponseURL"].partition(RESPONSE_PATH)[2]
        resources = cloudformation.operations.stacks.custom_resources
        return resources.respond(token, json.dumps(body).encode())

    return put


def custom(**properties):
    return {"Type": "Custom::Maker", "Properties": {"ServiceToken": FUNCTION, **properties}}


def test_every_value_becomes_a_string():
    value = {"a": 1, "b": [True, 2.5, {"c": False}], "d": "x", "e": None}
    assert stringified(value) == {"a": "1", "b": ["true", "2.5", {"c": "false"}], "d": "x"}


def test_create_update_delete(cloudformation, function, answer):
    function.handler = lambda event: answer(event, Data={"Url": "there"})
    out = {"Url": {"Value": {"Fn::GetAtt": ["A", "Url"]}}, "Id": {"Value": {"Ref": "A"}}}
    assert cloudformation.deploy({"A": custom(Size=1)}, Outputs=out) == "CREATE_COMPLETE"
    stack = cloudformation.call("DescribeStacks", StackName="app")["Stacks"][0]
    assert {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]} == {
        "Url": "there",
        "Id": "made",
    }
    assert cloudformation.deploy({"A": custom(Size=2)}, Outputs=out) == "UPDATE_COMPLETE"
    assert cloudformation.delete() == "DELETE_COMPLETE"
    assert function.kinds() == [("Create", None), ("Update", "made"), ("Delete", "made")]
    create, update, _ = function.events
    assert create["ResourceProperties"] == {"ServiceToken": FUNCTION, "Size": "1"}
    assert create["ResourceType"] == "Custom::Maker"
    assert update["ResourceProperties"]["Size"] == "2"
    assert update["OldResourceProperties"] == create["ResourceProperties"]


def test_another_physical_id_in_an_update_deletes_the_old_one_at_the_end(
    cloudformation, function, answer
):
    function.handler = lambda event: answer(event, physical_id=event["ResourceProperties"]["Id"])
    cloudformation.deploy({"A": custom(Id="old")})
    cloudformation.deploy({"A": custom(Id="new")})
    assert function.kinds() == [("Create", None), ("Update", "old"), ("Delete", "old")]
    assert cloudformation.physical_id("A") == "new"


def test_a_rolled_back_update_asks_for_the_old_and_deletes_the_new(
    cloudformation, function, answer
):
    def handler(event):
        wanted = event["ResourceProperties"]["Id"]
        failing = wanted == "bad" and event["RequestType"] == "Create"
        answer(event, "FAILED" if failing else "SUCCESS", physical_id=wanted)

    function.handler = handler
    cloudformation.deploy({"A": custom(Id="old")})
    broken = {"A": custom(Id="new"), "B": {**custom(Id="bad"), "DependsOn": "A"}}
    assert cloudformation.deploy(broken) == "UPDATE_ROLLBACK_COMPLETE"
    of_a = [event for event in function.events if event["LogicalResourceId"] == "A"]
    assert [(e["RequestType"], e.get("PhysicalResourceId")) for e in of_a] == [
        ("Create", None),
        ("Update", "old"),
        ("Update", "new"),
        ("Delete", "new"),
    ]
    assert of_a[2]["OldResourceProperties"]["Id"] == "new"
    assert cloudformation.physical_id("A") == "old"


def test_a_failed_creation_gives_its_reason_and_is_deleted_by_the_id_it_named(
    cloudformation, function, answer
):
    function.handler = lambda event: answer(
        event, "FAILED" if event["RequestType"] == "Create" else "SUCCESS", Reason="no room"
    )
    assert cloudformation.deploy({"A": custom()}) == "ROLLBACK_COMPLETE"
    assert "no room" in cloudformation.reason("A")
    assert function.kinds() == [("Create", None), ("Delete", "made")]


def test_a_function_that_ends_without_answering_is_waited_for(cloudformation, function, answer):
    def later(event):
        threading.Timer(0.2, answer, [event]).start()

    function.handler = later
    assert cloudformation.deploy({"A": custom()}) == "CREATE_COMPLETE"


def test_nobody_answers_in_time(cloudformation, function, answer):
    def handler(event):
        if event["RequestType"] == "Delete":
            answer(event)

    function.handler = handler
    assert cloudformation.deploy({"A": custom(ServiceTimeout=1)}) == "ROLLBACK_COMPLETE"
    assert "did not receive a response" in cloudformation.reason("A")
    assert function.events[0]["RequestId"] in cloudformation.reason("A")


def test_a_function_that_raises_every_time_fails_the_resource_at_once(
    cloudformation, function, answer
):
    def handler(event):
        if event["RequestType"] == "Create":
            raise RuntimeError("boom")
        answer(event)

    function.handler = handler
    assert cloudformation.deploy({"A": custom()}) == "ROLLBACK_COMPLETE"
    creates = [kind for kind, _ in function.kinds() if kind == "Create"]
    assert len(creates) == custom_resource.ATTEMPTS
    assert "failed without an answer: maker: RuntimeError: boom" in cloudformation.reason("A")


def test_a_function_may_answer_at_its_second_try(cloudformation, function, answer):
    def handler(event):
        if len(function.events) == 1:
            raise RuntimeError("not yet")
        answer(event)

    function.handler = handler
    assert cloudformation.deploy({"A": custom()}) == "CREATE_COMPLETE"


def test_an_answer_before_raising_counts(cloudformation, function, answer):
    def handler(event):
        answer(event)
        raise RuntimeError("afterwards")

    function.handler = handler
    assert cloudformation.deploy({"A": custom()}) == "CREATE_COMPLETE"
    assert len(function.events) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Status": "MAYBE"}, "no valid Status"),
        ({"RequestId": "another"}, "Value of property RequestId"),
        ({"StackId": "another"}, "Value of property StackId"),
        ({"Data": {"Long": "x" * 5000}}, "Response object is too long"),
        ({"PhysicalResourceId": ""}, "Invalid PhysicalResourceId"),
    ],
)
def test_wrong_answers_fail_the_resource(cloudformation, function, answer, change, says):
    function.handler = lambda event: answer(
        event, **(change if event["RequestType"] == "Create" else {})
    )
    assert cloudformation.deploy({"A": custom()}) == "ROLLBACK_COMPLETE"
    assert says in cloudformation.reason("A")


def test_nobody_waits_for_a_second_answer(cloudformation, function, answer):
    function.handler = answer
    cloudformation.deploy({"A": custom()})
    assert answer(function.events[0]) is False


def test_another_function_is_not_allowed(cloudformation, function, answer):
    function.handler = answer
    cloudformation.deploy({"A": custom()})
    other = {"Type": "Custom::Maker", "Properties": {"ServiceToken": FUNCTION + "2"}}
    assert cloudformation.deploy({"A": other}) != "UPDATE_COMPLETE"
    assert cloudformation.reason("A") == "Modifying service token is not allowed."


def test_a_missing_attribute_of_the_answer_is_named(cloudformation, function, answer):
    function.handler = answer
    out = {"Url": {"Value": {"Fn::GetAtt": ["A", "Url"]}}}
    assert cloudformation.deploy({"A": custom()}, Outputs=out) == "ROLLBACK_COMPLETE"
    stack = cloudformation.operations.stacks.all("eu-west-1")[0]
    reasons = [
        event.reason or "" for event in stack.events if event.status == "ROLLBACK_IN_PROGRESS"
    ]
    assert "doesn't contain Url attribute" in reasons[0]


def test_a_change_set_does_not_guess_the_answer_of_a_changed_custom_resource(
    cloudformation, function, answer
):
    function.handler = lambda event: answer(event, Data={"Url": "there"})

    def resources(size):
        url = {"Fn::GetAtt": ["A", "Url"]}
        reads_it = {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": url}}
        return {"A": custom(Size=size), "B": reads_it}

    cloudformation.deploy(resources(1))
    cloudformation.call(
        "CreateChangeSet",
        StackName="app",
        ChangeSetName="diff",
        TemplateBody=json.dumps({"Resources": resources(2)}),
    )
    proposed = cloudformation.call("DescribeChangeSet", StackName="app", ChangeSetName="diff")
    changed = [change["ResourceChange"]["LogicalResourceId"] for change in proposed["Changes"]]
    assert changed == ["A", "B"]
    assert len(function.events) == 1
