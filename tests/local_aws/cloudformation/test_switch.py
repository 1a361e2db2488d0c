"""A parameter that switches resources on and off by UpdateStack with the previous template."""

from __future__ import annotations

import json

import pytest

from local_aws.cloudformation.resources.registry import PROVIDERS
from local_aws.service_errors import ApiError
from tests.support.cloudformation import Deployer, thing

SECTIONS = {
    "Parameters": {
        "Serving": {"Type": "String", "Default": "on", "AllowedValues": ["on", "off"]},
        "Size": {"Type": "String", "Default": "1"},
    },
    "Conditions": {"IsServing": {"Fn::Equals": [{"Ref": "Serving"}, "on"]}},
    "Outputs": {
        "Endpoint": {"Condition": "IsServing", "Value": {"Ref": "Endpoint"}},
        "State": {"Value": {"Fn::GetAtt": ["State", "Value"]}},
    },
}
RESOURCES = {
    "Config": thing({"Ref": "Size"}),
    "Endpoint": thing({"Ref": "Config"}, Condition="IsServing"),
    "Target": thing(Condition="IsServing", DependsOn=["Endpoint", "Config"]),
    "SmokeTest": thing({"Ref": "Endpoint"}, Condition="IsServing"),
    "State": thing({"Fn::If": ["IsServing", "on", "off"]}, DependsOn="SmokeTest"),
    "Schedule": thing(
        {"Fn::If": ["IsServing", {"Fn::Sub": "ask ${Endpoint}"}, {"Ref": "AWS::NoValue"}]}
    ),
}
SERVED = ["Endpoint", "SmokeTest", "Target"]


@pytest.fixture
def stack(tmp_path, provider):
    deployer = Deployer(tmp_path)
    assert deployer.deploy(RESOURCES, **SECTIONS) == "CREATE_COMPLETE"
    provider.forget()
    return deployer


def switch(stack, serving):
    stack.call(
        "UpdateStack",
        StackName="app",
        UsePreviousTemplate=True,
        Parameters=[
            {"ParameterKey": "Serving", "ParameterValue": serving},
            {"ParameterKey": "Size", "UsePreviousValue": True},
        ],
    )
    return stack.wait()


def parameters(stack):
    (described,) = stack.call("DescribeStacks", StackName="app")["Stacks"]
    return {p["ParameterKey"]: p["ParameterValue"] for p in described["Parameters"]}


def outputs(stack):
    (described,) = stack.call("DescribeStacks", StackName="app")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def test_off_removes_what_the_condition_names_and_nothing_else(stack, provider):
    assert switch(stack, "off") == "UPDATE_COMPLETE"
    assert stack.resources() == ["Config", "Schedule", "State"]
    deleted = provider.order("delete")
    assert sorted(deleted) == SERVED
    assert deleted[-1] == "Endpoint"
    assert sorted(provider.order("update")) == ["Schedule", "State"]
    assert provider.order("create") == []
    assert parameters(stack) == {"Serving": "off", "Size": "1"}
    assert outputs(stack) == {"State": "off"}


def test_removed_resources_are_deleted_after_all_changes(stack, provider):
    switch(stack, "off")
    verbs = [verb for verb, *_ in provider.calls]
    assert verbs == ["update"] * 2 + ["delete"] * 3


def test_on_brings_it_back(stack, provider):
    switch(stack, "off")
    provider.forget()
    assert switch(stack, "on") == "UPDATE_COMPLETE"
    assert sorted(provider.order("create")) == SERVED
    assert provider.order("update")[-1] in {"State", "Schedule"}
    assert outputs(stack) == {"Endpoint": stack.physical_id("Endpoint"), "State": "on"}


def test_a_switch_to_where_it_stands_is_no_update(stack):
    with pytest.raises(ApiError, match="No updates are to be performed"):
        switch(stack, "on")
    with pytest.raises(ApiError, match=r"must be one of AllowedValues: \[on, off\]"):
        switch(stack, "maybe")


def test_a_failed_switch_on_leads_back_to_off(stack, provider):
    switch(stack, "off")
    provider.forget()
    provider.failing = {("create", "SmokeTest")}
    assert switch(stack, "on") == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.resources() == ["Config", "Schedule", "State"]
    assert "Endpoint" in provider.order("delete")
    assert parameters(stack)["Serving"] == "off"
    assert outputs(stack) == {"State": "off"}
    provider.forget()
    assert switch(stack, "on") == "UPDATE_COMPLETE"


def test_a_failed_switch_off_removes_nothing(stack, provider):
    values = []

    def fail_once(verb, request):
        if request.logical_id == "State":
            values.append(request.properties["Value"])
            provider.failing = {("update", "State")} if len(values) == 1 else set()

    provider.meanwhile = fail_once
    assert switch(stack, "off") == "UPDATE_ROLLBACK_COMPLETE"
    assert values == ["off", "on"]
    assert provider.order("delete") == []
    assert stack.resources() == sorted(RESOURCES)
    assert parameters(stack)["Serving"] == "on"


def propose(stack, resources, **sections):
    """The change set of a later `cdk deploy`, which keeps all parameter values."""
    stack.call(
        "CreateChangeSet",
        StackName="app",
        ChangeSetName="deploy",
        ChangeSetType="UPDATE",
        TemplateBody=json.dumps({"Resources": resources, **SECTIONS, **sections}),
        Parameters=[{"ParameterKey": name, "UsePreviousValue": True} for name in parameters(stack)],
    )
    found = stack.call("DescribeChangeSet", StackName="app", ChangeSetName="deploy")
    changes = [change["ResourceChange"] for change in found["Changes"]]
    return {change["LogicalResourceId"]: change["Action"] for change in changes}


def test_a_later_deployment_keeps_the_switch(stack, provider):
    switch(stack, "off")
    provider.forget()
    changed = {**RESOURCES, "New": thing({"Ref": "Config"})}
    assert propose(stack, changed) == {"New": "Add"}
    stack.call("ExecuteChangeSet", StackName="app", ChangeSetName="deploy")
    assert stack.wait() == "UPDATE_COMPLETE"
    assert [verb for verb, *_ in provider.calls] == ["create"]
    assert parameters(stack)["Serving"] == "off"
    # ... and switching on applies the new template.
    assert switch(stack, "on") == "UPDATE_COMPLETE"
    assert stack.resources() == sorted(changed)


def test_a_change_set_shows_what_a_switch_adds_and_removes(stack):
    stack.call(
        "CreateChangeSet",
        StackName="app",
        ChangeSetName="off",
        ChangeSetType="UPDATE",
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "Serving", "ParameterValue": "off"}],
    )
    found = stack.call("DescribeChangeSet", StackName="app", ChangeSetName="off")
    changes = [change["ResourceChange"] for change in found["Changes"]]
    assert {c["LogicalResourceId"]: c["Action"] for c in changes} == {
        **dict.fromkeys(SERVED, "Remove"),
        "Schedule": "Modify",
        "State": "Modify",
    }


def test_a_previous_value_outlives_a_new_default(stack):
    new_default = {**SECTIONS["Parameters"], "Size": {"Type": "String", "Default": "2"}}
    assert propose(stack, RESOURCES, Parameters=new_default) == {}


def test_a_parameter_without_a_previous_value_is_named(stack):
    with pytest.raises(ApiError, match="parameter key Other"):
        stack.call(
            "UpdateStack",
            StackName="app",
            UsePreviousTemplate=True,
            Parameters=[{"ParameterKey": "Other", "UsePreviousValue": True}],
        )


@pytest.mark.parametrize(
    ("resources", "sections", "block"),
    [
        ({**RESOURCES, "Bare": thing({"Ref": "Endpoint"})}, SECTIONS, "Resources"),
        (RESOURCES, {**SECTIONS, "Outputs": {"O": {"Value": {"Ref": "Endpoint"}}}}, "Outputs"),
        ({**RESOURCES, "Bare": thing(DependsOn="Nowhere")}, SECTIONS, "Resources"),
    ],
)
def test_a_reference_to_a_switched_off_resource_is_refused(stack, resources, sections, block):
    off = [{"ParameterKey": "Serving", "ParameterValue": "off"}]
    with pytest.raises(ApiError, match=rf"\[\w+\] in the {block} block"):
        stack.call(
            "UpdateStack",
            StackName="app",
            TemplateBody=json.dumps({"Resources": resources, **sections}),
            Parameters=off,
        )


@pytest.mark.parametrize(
    ("properties", "given", "needed"),
    [
        ({}, [], "CAPABILITY_IAM"),
        ({"RoleName": "r"}, ["CAPABILITY_IAM"], "CAPABILITY_NAMED_IAM"),
    ],
)
def test_making_identities_has_to_be_acknowledged(
    stack, provider, monkeypatch, properties, given, needed
):
    monkeypatch.setitem(PROVIDERS, "AWS::IAM::Role", provider)
    values = {"AssumeRolePolicyDocument": {}, **properties}
    resources = {"Role": {"Type": "AWS::IAM::Role", "Properties": values}}
    with pytest.raises(ApiError, match=rf"Requires capabilities : \[{needed}\]") as refusal:
        stack.deploy(resources, Capabilities=given)
    assert refusal.value.code == "InsufficientCapabilitiesException"
    assert stack.deploy(resources, Capabilities=[needed]) == "UPDATE_COMPLETE"
