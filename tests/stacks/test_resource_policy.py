"""The resource policy of the REST API, by which accounts may call it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.names import API_STAGE
from local_aws.iam.conditions import Keys
from local_aws.iam.policies import Policy, Request, decide
from local_aws.iam.principals import Principal
from stacks.front_door.stack import FrontDoorStack
from tests.support.synthesis import ROOT, changed, properties, some_templates_of

OWN, OTHER, STRANGER = "111111111111", "222222222222", "333333333333"
API = f"arn:aws:execute-api:eu-west-1:{OWN}:abc"


def policy_of(**api: Any) -> dict[str, Any] | None:
    settings = changed("prod", api=api)
    template = some_templates_of(settings, FrontDoorStack)["FrontDoor"]
    [found] = properties(template, "AWS::ApiGateway::RestApi")
    policy: dict[str, Any] | None = found.get("Policy")
    return policy


@pytest.fixture(scope="module")
def policy() -> Policy:
    found = json.dumps(policy_of(allowed_accounts=[OWN, OTHER], console=True))
    # As API Gateway and CloudFormation complete it.
    found = found.replace("execute-api:/", f"{API}/")
    for account in (OWN, OTHER):
        joined = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, f":iam::{account}:root"]]}
        found = found.replace(json.dumps(joined), f'"arn:aws:iam::{account}:root"')
    assert "Fn::" not in found
    return Policy.parse("test", found)


def may(policy: Policy, account: str, method: str, *, permitted: bool) -> bool:
    caller = Principal(f"arn:aws:iam::{account}:user/x", "x", account)
    keys: Keys = {"aws:principalaccount": [account]}
    request = Request(caller, "execute-api:Invoke", f"{API}/{API_STAGE}/{method}", OWN, keys)
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}] if permitted else []
    identity = Policy.parse("own", json.dumps({"Statement": everything}))
    return decide(request, identity=[identity], resource=policy).allowed


def test_a_changed_policy_is_deployed() -> None:
    """A stage shows what its deployment copied, the policy too."""
    deployments = {
        next(
            name
            for name, resource in some_templates_of(
                changed("prod", api={"allowed_accounts": accounts}), FrontDoorStack
            )["FrontDoor"]["Resources"].items()
            if resource["Type"] == "AWS::ApiGateway::Deployment"
        )
        for accounts in ([], [OWN], [OTHER])
    }
    assert len(deployments) == 3


@pytest.mark.parametrize("auth", ["api_key", "iam"])
def test_there_is_none_unless_the_settings_name_accounts(auth: str) -> None:
    assert policy_of(auth=auth) is None


def test_every_signed_method_is_for_the_permitted_callers_of_these_accounts(
    policy: Policy,
) -> None:
    paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    methods = [
        f"{verb.upper()}{path.replace('{batch_id}', '1')}"
        for path, operations in paths.items()
        for verb, operation in operations.items()
        if "iam" in operation.get("x-auth", ["iam"])
    ]
    assert "DELETE/batch/1" in methods
    for method in methods:
        for account in (OWN, OTHER):
            assert may(policy, account, method, permitted=True)
            assert not may(policy, account, method, permitted=False)
        assert not may(policy, STRANGER, method, permitted=True)


@pytest.mark.parametrize(
    ("method", "is_open"), [("GET/console", True), ("GET/console/app.js", True), ("GET/x", False)]
)
def test_the_consoles_files_stay_open(policy: Policy, method: str, is_open: bool) -> None:
    anyone = Principal("anonymous", "anonymous", "")
    request = Request(
        anyone,
        "execute-api:Invoke",
        f"{API}/{API_STAGE}/{method}",
        OWN,
        {"aws:principalaccount": []},
    )
    assert any(policy.applying(request, deny=False)) == is_open
    assert not any(policy.applying(request, deny=True))
