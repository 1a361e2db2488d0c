"""Intrinsic functions work as documented by CloudFormation."""

from __future__ import annotations

import pytest

from local_aws.cloudformation.functions import UNKNOWN, Scope, references, resolve
from local_aws.service_errors import ApiError

ATTRIBUTES = {("Bucket", "Arn"): "arn:bucket", ("Key", "Arn"): UNKNOWN}

SCOPE = Scope(
    values={"Stage": "dev", "Names": ["a", "b"], "AWS::Region": "eu-west-1"},
    conditions={
        "IsDev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
        "IsProd": {"Fn::Not": [{"Condition": "IsDev"}]},
    },
    ref=lambda name: f"id-of-{name}",
    get_att=lambda name, attribute: ATTRIBUTES[name, attribute],
    import_value=lambda name: f"import-of-{name}",
    dynamic=lambda service, rest: f"{service}/{rest}",
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Stage"}, "dev"),
        ({"Ref": "Queue"}, "id-of-Queue"),
        ({"Ref": "Names"}, ["a", "b"]),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:bucket"),
        ({"Fn::GetAtt": "Bucket.Arn"}, "arn:bucket"),
        ({"Fn::Sub": "${Stage}-${Bucket.Arn}-${!Stage}"}, "dev-arn:bucket-${Stage}"),
        ({"Fn::Sub": ["${x}/${Stage}", {"x": {"Ref": "Queue"}}]}, "id-of-Queue/dev"),
        ({"Fn::Join": ["-", [{"Ref": "Stage"}, 1, True]]}, "dev-1-true"),
        ({"Fn::Join": [",", {"Ref": "Names"}]}, "a,b"),
        ({"Fn::Split": [":", "a:b"]}, ["a", "b"]),
        ({"Fn::Select": ["1", {"Fn::Split": [":", "a:b"]}]}, "b"),
        ({"Fn::Select": [1, {"Fn::GetAZs": ""}]}, "eu-west-1b"),
        ({"Fn::Select": [0, {"Fn::GetAZs": "us-east-1"}]}, "us-east-1a"),
        ({"Fn::If": ["IsDev", 1, 2]}, 1),
        ({"Fn::If": ["IsProd", 1, 2]}, 2),
        ({"Fn::And": [{"Condition": "IsDev"}, {"Condition": "IsProd"}]}, False),
        ({"Fn::Or": [{"Condition": "IsDev"}, {"Condition": "IsProd"}]}, True),
        ({"Fn::Equals": ["true", True]}, True),
        ({"Fn::Equals": [1, "2"]}, False),
        ({"Fn::Contains": [["1", "2"], {"Ref": "Stage"}]}, False),
        ({"Fn::ImportValue": {"Fn::Sub": "${Stage}:x"}}, "import-of-dev:x"),
        ({"a": [{"Ref": "AWS::NoValue"}, 1], "b": {"Ref": "AWS::NoValue"}}, {"a": [1]}),
        ({"Fn::If": ["IsProd", 1, {"Ref": "AWS::NoValue"}]}, None),
        ("{{resolve:ssm:/a/b}}!", "ssm//a/b!"),
        ({"Fn::Sub": "{{resolve:ssm:/${Stage}}}"}, "ssm//dev"),
        # An IAM policy's Condition and a lone key are data, not calls.
        ({"Condition": {"Bool": {"x": "y"}}}, {"Condition": {"Bool": {"x": "y"}}}),
        ({"Key": "a"}, {"Key": "a"}),
    ],
)
def test_resolve(value, expected):
    assert resolve(value, SCOPE) == expected


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"Fn::Cidr": ["10.0.0.0/8", 1, 8]}, "Fn::Cidr is not supported"),
        ({"Fn::Select": [2, ["a", "b"]]}, "nonexistent value at index 2"),
        ({"Fn::If": ["IsThere", 1, 2]}, "unresolved condition dependency IsThere"),
        ({"Fn::Join": ["", [{"a": 1}]]}, "must be a string"),
    ],
)
def test_values_that_cannot_be_resolved_are_refused(value, says):
    with pytest.raises(ApiError, match=says):
        resolve(value, SCOPE)


def test_unknown_values_stay_unknown():
    unknown = {"Fn::GetAtt": ["Key", "Arn"]}
    assert resolve({"Fn::Join": ["/", ["a", unknown]]}, SCOPE) == f"a/{UNKNOWN}"
    assert resolve({"Fn::Select": [3, {"Fn::Split": [":", unknown]}]}, SCOPE) == UNKNOWN


def test_references_are_those_of_the_branches_that_apply():
    value = [
        {"Ref": "A"},
        {"Fn::GetAtt": ["B", "Arn"]},
        {"Fn::Sub": ["${C} ${D.Arn} ${given} ${!E}", {"given": {"Ref": "F"}}]},
        {"Fn::If": ["IsDev", {"Ref": "G"}, {"Ref": "H"}]},
    ]
    assert sorted(references(value, SCOPE)) == ["A", "B", "C", "D", "F", "G"]
