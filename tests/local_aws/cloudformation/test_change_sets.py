"""Change sets predict what the execution does, and leave nothing behind."""

from __future__ import annotations

import json

import pytest

from local_aws.cloudformation.functions import UNKNOWN
from local_aws.cloudformation.resource_work import NO_EFFECT
from local_aws.service_errors import ApiError
from tests.support.cloudformation import CALLER, named, thing


def propose(cloudformation, resources, kind="UPDATE", **more):
    template = {key: more.pop(key) for key in list(more) if key in {"Outputs", "Parameters"}}
    cloudformation.call(
        "CreateChangeSet",
        StackName="app",
        ChangeSetName="diff",
        ChangeSetType=kind,
        TemplateBody=json.dumps({"Resources": resources, **template}),
        **more,
    )
    return cloudformation.call("DescribeChangeSet", StackName="app", ChangeSetName="diff")


def summary(change_set):
    changes = [change["ResourceChange"] for change in change_set["Changes"]]
    return {c["LogicalResourceId"]: (c["Action"], c.get("Replacement")) for c in changes}


def test_a_new_stack_stays_in_review_until_executed(cloudformation, provider):
    proposed = propose(cloudformation, {"A": thing()}, kind="CREATE")
    assert (proposed["Status"], proposed["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert summary(proposed) == {"A": ("Add", None)}
    assert cloudformation.wait() == "REVIEW_IN_PROGRESS"
    assert provider.calls == []
    cloudformation.call("ExecuteChangeSet", StackName="app", ChangeSetName="diff")
    assert cloudformation.wait() == "CREATE_COMPLETE"


def test_a_diff_of_a_new_stack_leaves_no_stack(cloudformation, provider):
    propose(cloudformation, {"A": thing()}, kind="CREATE")
    cloudformation.call("DeleteChangeSet", StackName="app", ChangeSetName="diff")
    cloudformation.call("DeleteStack", StackName="app")
    with pytest.raises(ApiError, match="Stack with id app does not exist"):
        cloudformation.call("DescribeStacks", StackName="app")
    assert provider.calls == []


def test_no_change_is_reported_as_the_cli_expects(cloudformation):
    cloudformation.deploy({"A": thing()})
    proposed = propose(cloudformation, {"A": thing()})
    assert proposed["Status"] == "FAILED"
    assert proposed["StatusReason"].startswith("The submitted information didn't contain changes.")
    with pytest.raises(ApiError, match="No updates are to be performed"):
        cloudformation.deploy({"A": thing()})


@pytest.mark.parametrize(
    "more",
    [
        {"Outputs": {"O": {"Value": "v"}}},
        {"Tags": [{"Key": "a", "Value": "b"}]},
        {"Parameters": {"P": {"Type": "String", "Default": "b"}}},
    ],
)
def test_changes_outside_of_resources_count(cloudformation, more):
    cloudformation.deploy({"A": thing()})
    assert propose(cloudformation, {"A": thing()}, **more)["Status"] == "CREATE_COMPLETE"


def test_consequences_of_a_replacement_are_predicted(cloudformation, provider):
    def resources(name):
        return {
            "P": named(name),
            "User": thing({"Ref": "P"}),
            "Renamed": named({"Fn::Sub": "${P}-x"}),
            "Same": thing(),
            **({"Old": thing()} if name == "old" else {}),
        }

    cloudformation.deploy(resources("old"))
    before = provider.calls.copy()
    proposed = propose(cloudformation, resources("new"))
    assert summary(proposed) == {
        "P": ("Modify", "True"),
        "User": ("Modify", "False"),
        "Renamed": ("Modify", "Conditional"),
        "Old": ("Remove", None),
    }
    details = {
        change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"]["Details"]
        for change in proposed["Changes"]
    }
    target = details["P"][0]["Target"]
    assert (target["Name"], target["RequiresRecreation"]) == ("Name", "Always")
    assert (target["BeforeValue"], target["AfterValue"]) == ("old", "new")
    assert details["User"][0]["Target"]["AfterValue"] == UNKNOWN
    assert provider.calls == before


def test_looking_ahead_imports_nothing(cloudformation):
    export = {"O": {"Value": "v", "Export": {"Name": "x"}}}
    cloudformation.deploy({"A": thing()}, name="owner", Outputs=export)
    cloudformation.deploy({"B": thing()})
    propose(cloudformation, {"B": thing({"Fn::ImportValue": "x"})})
    assert cloudformation.operations.find(CALLER, "app").imports == set()
    assert cloudformation.delete("owner") == "DELETE_COMPLETE"


def test_unknown_types_are_refused_all_at_once(cloudformation):
    resources = {"A": thing(kind="AWS::SQS::Queue"), "B": thing(kind="AWS::EC2::InternetGateway")}
    with pytest.raises(ApiError, match=r"\[AWS::EC2::InternetGateway, AWS::SQS::Queue\]"):
        propose(cloudformation, resources, kind="CREATE")
    assert cloudformation.call("ListStacks")["StackSummaries"] == []


def test_types_without_effect_say_so(cloudformation, caplog):
    caplog.set_level("INFO")
    cloudformation.deploy({"A": {"Type": "AWS::Budgets::Budget", "Properties": {}}})
    events = cloudformation.call("DescribeStackEvents", StackName="app")["StackEvents"]
    reasons = [event["ResourceStatusReason"] for event in events]
    assert NO_EFFECT in reasons
    assert "app: without effect here: AWS::Budgets::Budget" in caplog.messages


def test_secret_parameters_are_masked(cloudformation):
    secret = {"P": {"Type": "String", "NoEcho": True}}
    given = [{"ParameterKey": "P", "ParameterValue": "hush"}]
    proposed = cloudformation.call(
        "CreateChangeSet",
        StackName="app",
        ChangeSetName="diff",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": {"A": thing()}, "Parameters": secret}),
        Parameters=given,
    )
    described = cloudformation.call("DescribeChangeSet", ChangeSetName=proposed["Id"])
    assert described["Parameters"] == [{"ParameterKey": "P", "ParameterValue": "****"}]


def test_a_stack_whose_creation_failed_cannot_be_updated(cloudformation, provider):
    provider.failing = {("create", "A")}
    cloudformation.deploy({"A": thing()})
    with pytest.raises(ApiError, match="ROLLBACK_COMPLETE state and can not be updated"):
        propose(cloudformation, {"A": thing()})


def test_termination_protection(cloudformation):
    cloudformation.deploy({"A": thing()})
    cloudformation.call(
        "UpdateTerminationProtection", StackName="app", EnableTerminationProtection=True
    )
    with pytest.raises(ApiError, match="TerminationProtection is enabled"):
        cloudformation.call("DeleteStack", StackName="app")
