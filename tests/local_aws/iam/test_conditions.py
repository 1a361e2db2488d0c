"""Condition operators, as IAM's user guide describes them."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws.iam.conditions import (
    NotEvaluatedError,
    arn_matches,
    conditions_hold,
    fill_in,
    wildcard,
)

KEYS = {
    "aws:username": ["ada"],
    "aws:tagkeys": ["stage", "team"],
    "aws:sourceip": ["10.1.2.3"],
    "aws:currenttime": ["2026-11-26T12:00:00Z"],
    "aws:epochtime": ["1795694400"],
    "aws:securetransport": ["true"],
    "aws:sourcearn": ["arn:aws:s3:::bucket"],
    "s3:max-keys": ["10"],
    "s3:prefix": ["input/a"],
    "some:empty": [],
    "sts:externalid": [],
    "aws:principalorgid": [],
}


def holds(operator: str, key: str, value: Any) -> bool:
    return conditions_hold({operator: {key: value}}, KEYS)


@pytest.mark.parametrize(
    ("operator", "key", "value", "expected"),
    [
        ("StringEquals", "aws:username", "ada", True),
        ("StringEquals", "AWS:UserName", ["bob", "ada"], True),
        ("StringEquals", "aws:username", "Ada", False),
        ("StringEquals", "aws:username", "a*", False),
        ("StringEqualsIgnoreCase", "aws:username", "ADA", True),
        ("StringNotEquals", "aws:username", ["bob", "eve"], True),
        ("StringNotEquals", "aws:username", ["bob", "ada"], False),
        ("StringLike", "s3:prefix", ["output/*", "input/?"], True),
        ("StringLike", "s3:prefix", "input/?b", False),
        ("StringLike", "s3:prefix", "input/[a]", False),
        ("StringNotLike", "s3:prefix", "input/*", False),
        ("NumericLessThanEquals", "s3:max-keys", "10", True),
        ("NumericLessThan", "s3:max-keys", "10.0", False),
        ("NumericGreaterThan", "s3:max-keys", "9", True),  # as strings "10" < "9"
        ("NumericNotEquals", "s3:max-keys", "10", False),
        ("NumericEquals", "aws:username", "1", False),
        ("DateGreaterThan", "aws:CurrentTime", "2026-11-26T11:59:59Z", True),
        ("DateLessThan", "aws:CurrentTime", "2026-11-26", False),
        ("DateEquals", "aws:EpochTime", "2026-11-26T12:00:00Z", True),
        ("Bool", "aws:SecureTransport", "false", False),
        ("Bool", "aws:SecureTransport", True, True),
        ("IpAddress", "aws:SourceIp", ["192.168.0.0/16", "10.0.0.0/8"], True),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", False),
        ("ArnLike", "aws:SourceArn", "arn:aws:s3:*:*:bu*", True),
        ("ArnLike", "aws:SourceArn", "arn:aws:*:bucket", False),
        ("ArnEquals", "aws:SourceArn", "arn:aws:s3:::bucket", True),
        ("ArnNotLike", "aws:SourceArn", "arn:aws:s3:::other", True),
    ],
)
def test_operators(operator: str, key: str, value: Any, expected: bool) -> None:
    assert holds(operator, key, value) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", False),
        ("StringLike", False),
        ("Bool", False),
        ("NumericEquals", False),
        # What is absent is not equal.
        ("StringNotEquals", True),
        ("ArnNotLike", True),
        ("StringEqualsIfExists", True),
        ("BoolIfExists", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAllValues:StringEquals", True),
    ],
)
@pytest.mark.parametrize("key", ["aws:PrincipalOrgID", "some:empty"])
def test_keys_without_a_value(operator: str, expected: bool, key: str) -> None:
    assert conditions_hold({operator: {key: "true"}}, KEYS) is expected


def test_null_asks_whether_a_key_is_absent() -> None:
    assert holds("Null", "sts:ExternalId", "true")
    assert not holds("Null", "sts:ExternalId", "false")
    assert not holds("Null", "aws:username", "true")
    assert holds("Null", "aws:username", [False])


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("ForAnyValue:StringEquals", "team", True),
        ("ForAnyValue:StringEquals", "owner", False),
        ("ForAllValues:StringEquals", "team", False),
        ("ForAllValues:StringLike", ["st*", "te*"], True),
        ("ForAnyValue:StringNotEquals", "team", True),
        ("ForAllValues:StringNotEquals", "team", False),
    ],
)
def test_keys_with_several_values(operator: str, value: Any, expected: bool) -> None:
    assert holds(operator, "aws:TagKeys", value) is expected


def test_all_operators_and_keys_must_hold() -> None:
    both = {"StringEquals": {"aws:username": "ada", "s3:prefix": "input/a"}}
    assert conditions_hold(both, KEYS)
    assert conditions_hold({**both, "Bool": {"aws:SecureTransport": "true"}}, KEYS)
    assert not conditions_hold({**both, "Bool": {"aws:SecureTransport": "false"}}, KEYS)
    assert not conditions_hold({"StringEquals": {"aws:username": "ada", "s3:prefix": "x"}}, KEYS)
    assert conditions_hold({}, KEYS)


@pytest.mark.parametrize("operator", ["BinaryEquals", "StringMatches", "ForSome:StringEquals"])
def test_what_is_not_evaluated_is_refused_by_name(operator: str) -> None:
    with pytest.raises(NotEvaluatedError, match=operator):
        holds(operator, "aws:username", "x")


def test_a_key_that_nothing_knows_is_refused_by_name() -> None:
    for operator in ("StringEquals", "Null", "StringEqualsIfExists"):
        with pytest.raises(NotEvaluatedError, match="aws:PrincipalTag/team"):
            holds(operator, "aws:PrincipalTag/team", "x")


def test_policy_variables() -> None:
    assert holds("StringLike", "s3:prefix", "input/*")
    assert conditions_hold(
        {"StringEquals": {"s3:prefix": "${aws:username}"}},
        {"s3:prefix": ["ada"], "aws:username": ["ada"]},
    )
    assert fill_in("home/${aws:UserName}/x", KEYS) == "home/ada/x"
    assert fill_in("${aws:PrincipalTag/team, 'none'}", KEYS) == "none"
    # A variable without a value matches nothing.
    assert not holds("StringEquals", "aws:username", "${aws:PrincipalTag/name}")
    with pytest.raises(NotEvaluatedError, match="wildcard"):
        fill_in("${aws:username}", {"aws:username": ["*"]})


@pytest.mark.parametrize(
    ("pattern", "arn", "expected"),
    [
        ("*", "arn:aws:s3:::b/k", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b*", "arn:aws:s3:::bc/k", True),
        ("arn:aws:sqs", "arn:aws:sqs:us-east-1:1:q", True),
        ("arn:aws:iam::1:role/*", "arn:aws:iam::2:role/r", False),
        # Wildcards do not cross colons.
        ("arn:aws:*:role/r", "arn:aws:iam::1:role/r", False),
        ("arn:aws:s3:::b/k", "*", False),
        ("arn:aws:s3:::B/k", "arn:aws:s3:::b/k", False),
    ],
)
def test_arns(pattern: str, arn: str, expected: bool) -> None:
    assert arn_matches(pattern, arn) is expected


def test_only_stars_and_question_marks_are_special() -> None:
    assert wildcard("a.b[c]").fullmatch("a.b[c]")
    assert not wildcard("a.b").fullmatch("axb")
    assert wildcard("*").fullmatch("two\nlines")
