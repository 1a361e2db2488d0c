"""Templates are parsed, filled in and refused as by CloudFormation."""

from __future__ import annotations

import json

import pytest

from local_aws.cloudformation.functions import Scope
from local_aws.cloudformation.template import Template
from local_aws.service_errors import ApiError

STORE = {"/cdk-bootstrap/version": "21"}


def template(resources=None, **sections) -> Template:
    body = {"Resources": resources or {"A": {"Type": "X"}}, **sections}
    return Template(json.dumps(body))


def fill_in(parameters, given):
    return template(Parameters=parameters).fill_in(given, lambda name: STORE[name])


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("!Sub '${B}-x'", {"Fn::Sub": "${B}-x"}),
        ("!Ref B", {"Ref": "B"}),
        ("!GetAtt B.Outputs.Name", {"Fn::GetAtt": ["B", "Outputs.Name"]}),
        ("!Join [-, [a, !Ref B]]", {"Fn::Join": ["-", ["a", {"Ref": "B"}]]}),
        ("!Transform {Name: A}", {"Fn::Transform": {"Name": "A"}}),
        ("2012-10-17", "2012-10-17"),
        ("true", True),
    ],
)
def test_yaml(written, value):
    read = Template(f"Resources:\n  A:\n    Type: X\n    Properties:\n      Name: {written}\n")
    assert read.body["Resources"]["A"]["Properties"] == {"Name": value}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"Resources": {}}', "At least one Resources member"),
        ("[]", "unsupported structure"),
        ("", "unsupported structure"),
        ("a: [", "Template format error: while parsing"),
        (
            '{"Resources": {"A": {"Type": "X"}}, "Transform": "AWS::Serverless-2016-10-31"}',
            "Server",
        ),
    ],
)
def test_an_invalid_template_is_refused(text, says):
    with pytest.raises(ApiError, match=says):
        Template(text)


def test_parameters():
    parameters = {
        "Stage": {"Type": "String", "Default": "dev"},
        "Sizes": {"Type": "CommaDelimitedList"},
        "Version": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": next(iter(STORE))},
        "Count": {"Type": "Number", "Default": 2},
    }
    assert fill_in(parameters, {"Sizes": "a, b"}) == {
        "Stage": "dev",
        "Sizes": ["a", "b"],
        "Version": "21",
        "Count": "2",
    }


@pytest.mark.parametrize(
    ("parameter", "given", "says"),
    [
        ({"Type": "String"}, {}, r"Parameters: \[P\] must have values"),
        ({"Type": "String"}, {"P": "x", "Q": "y"}, r"\[Q\] do not exist in the template"),
        ({"Type": "String", "AllowedValues": ["a"]}, {"P": "b"}, r"AllowedValues: \[a\]"),
        ({"Type": "AWS::SSM::Parameter::Value<String>"}, {"P": "/no"}, r"fetch parameters \[/no\]"),
    ],
)
def test_wrong_parameters_are_refused(parameter, given, says):
    with pytest.raises(ApiError, match=says):
        fill_in({"P": parameter}, given)


@pytest.mark.parametrize(("version", "fails"), [("5", True), ("21", False)])
def test_the_rule_by_which_cdk_demands_a_bootstrap_version(version, fails):
    assertion = {
        "Assert": {"Fn::Not": [{"Fn::Contains": [["1", "5"], {"Ref": "BootstrapVersion"}]}]},
        "AssertDescription": "CDK bootstrap stack version 6 required.",
    }
    checked = template(Rules={"CheckBootstrapVersion": {"Assertions": [assertion]}})
    scope = Scope(values={"BootstrapVersion": version})
    if fails:
        with pytest.raises(ApiError, match="version 6 required"):
            checked.check_rules(scope)
    else:
        checked.check_rules(scope)


def test_resources_whose_condition_does_not_hold_are_left_out():
    scope = Scope(values={}, conditions={"No": {"Fn::Equals": [1, 2]}})
    resources = {
        "A": {"Type": "X", "Condition": "No"},
        "B": {"Type": "X", "Properties": {"P": {"Fn::If": ["No", {"Ref": "A"}, "b"]}}},
    }
    wanted = template(resources, Conditions=dict(scope.conditions)).wanted(scope)
    assert {name: item.dependencies for name, item in wanted.items()} == {"B": frozenset()}


def test_dependencies_come_from_functions_and_depends_on():
    resources = {
        "A": {"Type": "X"},
        "B": {"Type": "X", "DependsOn": "A"},
        "C": {"Type": "X", "DependsOn": ["A"], "Properties": {"P": {"Fn::Sub": "${B.Arn}"}}},
    }
    wanted = template(resources).wanted(Scope(values={}))
    assert wanted["B"].dependencies == {"A"}
    assert wanted["C"].dependencies == {"A", "B"}


def test_references_to_nothing_and_circles_are_refused_by_name():
    scope = Scope(values={})
    lost = {"A": {"Type": "X", "Properties": {"P": {"Ref": "Gone"}}}}
    with pytest.raises(ApiError, match=r"Unresolved resource dependencies \[Gone\]"):
        template(lost).wanted(scope)
    circle = {
        "A": {"Type": "X", "DependsOn": "B"},
        "B": {"Type": "X", "DependsOn": "A"},
        "C": {"Type": "X"},
    }
    with pytest.raises(ApiError, match=r"Circular dependency between resources: \[A, B\]"):
        template(circle).wanted(scope)
