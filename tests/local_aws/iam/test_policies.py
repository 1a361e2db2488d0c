"""What policies decide together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_aws.iam.conditions import NotEvaluatedError
from local_aws.iam.policies import Decision, Policy, Request, decide
from local_aws.iam.principals import Principal

ACCOUNT, OTHER = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/Reader"
SESSION = Principal(
    f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/s", "AROAX:s", ACCOUNT, role_arn=ROLE
)
USER = Principal(f"arn:aws:iam::{ACCOUNT}:user/ada", "AIDAX", ACCOUNT)
SERVICE = Principal("events.amazonaws.com", "events", "", service="events.amazonaws.com")
OBJECT = "arn:aws:s3:::bucket/key"


def policy(*statements: dict[str, Any], name: str = "p") -> Policy:
    return Policy.parse(name, json.dumps({"Statement": list(statements)}))


def allow(action: Any = "s3:GetObject", resource: Any = OBJECT, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(**more: Any) -> dict[str, Any]:
    return {**allow(**more), "Effect": "Deny"}


def ask(
    *identity: Policy,
    principal: Principal = SESSION,
    action: str = "s3:GetObject",
    resource: str = OBJECT,
    account: str = ACCOUNT,
    keys: dict[str, list[str]] | None = None,
    **more: Any,
) -> Decision:
    request = Request(principal, action, resource, account, keys or {})
    return decide(
        request, identity=identity, **{("resource" if k == "on" else k): v for k, v in more.items()}
    )


def test_nothing_is_allowed_by_default() -> None:
    found = ask()
    assert (found.allowed, found.by) == (False, "")
    assert found.reason == "because no identity-based policy allows the s3:GetObject action"


def test_the_statement_that_allowed_is_named() -> None:
    assert ask(policy(allow("s3:PutObject"), allow(), name="role/r/inline")).by == "role/r/inline#1"


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("s3:getobject", True),
        ("s3:Get*", True),
        ("S3:*Object", True),
        ("*", True),
        (["s3:ListBucket", "s3:GetObject"], True),
        ("s3:GetObjectVersion", False),
        ("s3:Get", False),
        ("lambda:*", False),
    ],
)
def test_actions(action: Any, allowed: bool) -> None:
    assert ask(policy(allow(action))).allowed is allowed


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("*", True),
        ("arn:aws:s3:::bucket/*", True),
        ([OBJECT, "arn:aws:s3:::x"], True),
        ("arn:aws:s3:::bucket", False),
        ("arn:aws:s3:::bucket/k", False),
    ],
)
def test_resources(resource: Any, allowed: bool) -> None:
    assert ask(policy(allow(resource=resource))).allowed is allowed


def test_not_action_and_not_resource() -> None:
    others = {"Effect": "Allow", "NotAction": ["iam:*", "s3:Delete*"], "Resource": "*"}
    assert ask(policy(others)).allowed
    assert not ask(policy(others), action="s3:DeleteObject").allowed
    elsewhere = {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::secret/*"}
    assert ask(policy(elsewhere)).allowed
    assert not ask(policy(elsewhere), resource="arn:aws:s3:::secret/x").allowed


def test_an_explicit_deny_wins_wherever_it_is() -> None:
    grants = policy(allow("*", "*"))
    found = ask(grants, policy(deny(), name="deny"))
    assert (found.allowed, found.by) == (False, "deny#0")
    assert found.reason == "with an explicit deny in an identity-based policy"
    everyone = {"Principal": "*"}
    found = ask(grants, on=policy(allow(**everyone), deny(**everyone)))
    assert found.reason == "with an explicit deny in a resource-based policy"
    found = ask(grants, guardrail=policy(deny()))
    assert found.reason == "with an explicit deny in a service control policy"
    # One about others, or whose condition does not hold, denies nothing.
    assert ask(grants, on=policy(deny(Principal={"AWS": USER.arn}))).allowed
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    assert ask(
        grants, policy(deny(Condition=insecure)), keys={"aws:securetransport": ["true"]}
    ).allowed


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": ROLE}, True),
        ({"AWS": [USER.arn, SESSION.arn]}, True),
        ({"AWS": USER.arn}, False),
        # The account lets its own policies decide, and those allow nothing here.
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, False),
        ({"AWS": ACCOUNT}, False),
        ({"Service": "events.amazonaws.com"}, False),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:role/Reader"}, False),  # another path
    ],
)
def test_a_resources_policy_can_allow_by_itself(principal: Any, allowed: bool) -> None:
    assert ask(on=policy(allow(Principal=principal))).allowed is allowed


def test_not_principal_means_everybody_else() -> None:
    but_session = policy(deny(NotPrincipal={"AWS": ROLE}))
    assert ask(policy(allow()), on=but_session).allowed
    assert not ask(policy(allow()), on=but_session, principal=USER).allowed


def test_services_are_allowed_by_resources_only() -> None:
    to_events = policy(
        allow(
            Principal={"Service": "events.amazonaws.com"},
            Condition={"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/r"}},
        )
    )
    source = {"aws:sourcearn": [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/r"]}
    assert ask(principal=SERVICE, on=to_events, keys=source).allowed
    found = ask(principal=SERVICE, on=to_events, keys={"aws:sourcearn": ["arn:aws:events:::x"]})
    assert found.reason == "because no resource-based policy allows the s3:GetObject action"


def test_another_accounts_resource_needs_both() -> None:
    own, theirs = policy(allow()), policy(allow(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    assert ask(own, on=theirs, account=OTHER).allowed
    assert not ask(own, account=OTHER).allowed
    assert not ask(on=theirs, account=OTHER).allowed
    assert not ask(on=policy(allow(Principal="*")), account=OTHER).allowed
    only_them = policy(allow(Principal={"AWS": f"arn:aws:iam::{OTHER}:root"}))
    assert not ask(own, on=only_them, account=OTHER).allowed


def test_keys_and_roles_must_agree_themselves() -> None:
    def decrypt(*identity: Policy, on: Policy) -> bool:
        return ask(
            *identity,
            action="kms:Decrypt",
            resource="arn:aws:kms:::key/k",
            on=on,
            resource_must_allow=True,
        ).allowed

    own = policy(allow("kms:*", "*"))
    delegating = policy(allow("kms:*", "*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    assert decrypt(own, on=delegating)
    assert not decrypt(on=delegating)
    assert not decrypt(own, on=policy(allow("kms:*", "*", Principal={"AWS": USER.arn})))
    assert decrypt(on=policy(allow("kms:Decrypt", "*", Principal={"AWS": ROLE})))
    trust = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "sts:AssumeRole"}
    found = ask(
        policy(allow("*", "*")),
        action="sts:AssumeRole",
        resource=ROLE,
        on=policy(trust),
        resource_must_allow=True,
    )
    assert found.reason == "because no role trust policy allows the sts:AssumeRole action"


def test_the_principals_own_grant_counts_where_both_allow() -> None:
    on = policy(allow(Principal="*"), name="bucket")
    assert ask(policy(allow(), name="own"), on=on).by == "own#0"
    assert ask(on=on).by == "bucket#0"


def test_what_is_not_evaluated_is_refused_by_name() -> None:
    with pytest.raises(NotEvaluatedError, match="Federated"):
        ask(on=policy(allow(Principal={"Federated": "arn:aws:iam::1:oidc-provider/x"})))
    with pytest.raises(NotEvaluatedError, match="Extra"):
        ask(policy(allow(Extra="x")))
    # But only where it matters.
    assert not ask(policy(allow("s3:PutObject", Extra="x"))).allowed


def test_a_document_may_have_one_statement_or_none() -> None:
    single = Policy.parse("p", json.dumps({"Statement": allow()}))
    assert ask(single).allowed
    assert not ask(Policy.parse("p", "{}")).allowed
