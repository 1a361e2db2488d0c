"""Who may assume the roles for CI, and what they may do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.bake_objects import corpus_prefix, marker_key
from contract.names import Names
from contract.outputs import DEPLOY_ROLE_ARN, DIFF_ROLE_ARN
from stage.settings import SettingsError
from tests.support.synthesis import (
    Templates,
    changed,
    listed,
    of_type,
    properties,
    templates_of,
)

DIFF, DEPLOY = (f"{Names('dev').prefix}-{what}" for what in ("diff", "deploy"))
PROVIDER = ":oidc-provider/token.actions.githubusercontent.com"


@pytest.fixture
def roles(everything: Templates) -> dict[str, dict[str, Any]]:
    return {
        role["RoleName"]: role
        for role in properties(everything["Operations"], "AWS::IAM::Role")
        if "RoleName" in role
    }


def _allowed(role: dict[str, Any]) -> dict[str, str]:
    """The resources of each action, as text."""
    return {
        action: json.dumps(statement["Resource"])
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
    }


def test_a_repository_may_have_its_ids_in_its_name() -> None:
    """GitHub's tokens have them for repositories created or renamed since 2026-07-15."""
    named = "owner@12345/faq@67890"
    template = templates_of(changed("dev", ci={"github_repository": named}))["Operations"]
    subjects = [
        role["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"][
            "token.actions.githubusercontent.com:sub"
        ]
        for role in properties(template, "AWS::IAM::Role")
        if "RoleName" in role
    ]
    assert sorted(subjects) == [f"repo:{named}:pull_request", f"repo:{named}:ref:refs/heads/main"]


@pytest.mark.parametrize("named", ["owner@x/faq", "owner@/faq", "@1/faq", "owner/faq@1@2"])
def test_anything_else_behind_an_at_is_refused(named: str) -> None:
    with pytest.raises(SettingsError, match="github_repository"):
        changed("dev", ci={"github_repository": named})


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        (DIFF, "repo:owner/faq:pull_request"),
        (DEPLOY, "repo:owner/faq:ref:refs/heads/release"),
    ],
)
def test_github_vouches_for_repository_and_branch(
    roles: dict[str, dict[str, Any]], name: str, subject: str
) -> None:
    (trust,) = roles[name]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Principal"]["Federated"]["Fn::Join"][1][-1] == PROVIDER
    # StringEquals, not StringLike: a `*` would let in every branch, or every repository.
    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": subject,
        }
    }


def test_a_pull_request_reads_what_its_review_shows_and_nothing_else(
    roles: dict[str, dict[str, Any]],
) -> None:
    allowed = _allowed(roles[DIFF])
    assert set(allowed) == {
        "cloudformation:DescribeStacks",
        "cloudformation:GetTemplate",
        "kms:Decrypt",
        "s3:GetObject",
        "s3:ListBucket",
        "ssm:GetParameter",
        "ssm:GetParameterHistory",
    }
    assert f":stack/{Names('dev').stack('*')}/*" in allowed["cloudformation:GetTemplate"]
    assert f":parameter{Names('dev').parameter_prefix}/*" in allowed["ssm:GetParameterHistory"]
    assert f"/{corpus_prefix('*')}*" in allowed["s3:GetObject"]
    assert f"/{marker_key('*')}" in allowed["s3:GetObject"]
    assert not [where for where in allowed.values() if where == '"*"']


def test_a_deployment_goes_through_the_cdks_roles(roles: dict[str, dict[str, Any]]) -> None:
    deploy = roles[DEPLOY]
    allowed = _allowed(deploy)
    for purpose in ("deploy", "file-publishing", "lookup"):
        assert f":role/cdk-hnb659fds-{purpose}-role-" in allowed["sts:AssumeRole"]
    assert "*" not in allowed["sts:AssumeRole"]
    assert set(allowed) - set(_allowed(roles[DIFF])) == {"sts:AssumeRole"}
    # A bake alone may take 50 minutes.
    assert deploy["MaxSessionDuration"] == 4 * 3600


def test_roles_and_outputs_are_there_where_asked_for(
    everything: Templates, stage_templates: Templates
) -> None:
    outputs = everything["Operations"]["Outputs"]
    assert {DIFF_ROLE_ARN, DEPLOY_ROLE_ARN} <= set(outputs)
    for template in stage_templates.values():
        assert not {DIFF_ROLE_ARN, DEPLOY_ROLE_ARN} & set(template.get("Outputs", {}))
    # The account has one provider; a stage's stack would delete it with itself.
    assert not of_type(everything["Operations"], "AWS::IAM::OIDCProvider")
