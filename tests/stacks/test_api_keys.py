"""API keys: no template holds their values, and each is added and removed on its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from contract.outputs import API_KEY_ID, API_KEY_IDS
from stacks.front_door.stack import FrontDoorStack
from tests.support.synthesis import Templates, changed, of_type, properties, some_templates_of

KEY, OF_PLAN = "AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlanKey"


def with_keys(*names: str) -> dict[str, Any]:
    """The FrontDoor template of stage dev with keys of these names."""
    settings = changed("dev", api={"api_keys": names})
    return some_templates_of(settings, FrontDoorStack)["FrontDoor"]


def test_the_key_has_a_plan_and_no_value_in_the_template(
    templates: Callable[[str], Templates],
) -> None:
    api = templates("dev")["FrontDoor"]
    ((name, key),) = of_type(api, KEY).items()
    assert "Value" not in key["Properties"]
    ((plan_name, plan),) = of_type(api, "AWS::ApiGateway::UsagePlan").items()
    assert plan["Properties"]["Throttle"] == {"RateLimit": 20, "BurstLimit": 40}
    # The keys of a plan that covers no stage open nothing.
    (stage,) = of_type(api, "AWS::ApiGateway::Stage")
    [covered] = plan["Properties"]["ApiStages"]
    assert covered["Stage"]["Ref"] == stage
    assert covered["Throttle"] == {"/batch/POST": {"RateLimit": 1, "BurstLimit": 5}}
    assert properties(api, OF_PLAN) == [
        {"KeyId": {"Ref": name}, "KeyType": "API_KEY", "UsagePlanId": {"Ref": plan_name}}
    ]
    assert not of_type(templates("prod")["FrontDoor"], KEY)


def without_batches(api: dict[str, Any]) -> dict[str, Any]:
    """The resources but for the function of the batch routes, which is told whose a key is."""
    return {
        name: resource
        for name, resource in api["Resources"].items()
        if not name.startswith(("BatchFunction", "ApiDeployment"))
    }


def test_rotation_adds_one_key_and_removes_one(templates: Callable[[str], Templates]) -> None:
    before = without_batches(templates("dev")["FrontDoor"])
    during = without_batches(with_keys("first", "first.2"))
    after = without_batches(with_keys("first.2"))
    # Nothing else changes: a recreated key of the plan would clash with itself.
    assert {name: during[name] for name in before} == before
    assert {name: during[name] for name in after} == after
    for one, other in ((during, before), (during, after)):
        assert sorted(r["Type"] for n, r in one.items() if n not in other) == [KEY, OF_PLAN]


def test_the_order_of_the_keys_changes_no_resource() -> None:
    one, other = with_keys("a", "b"), with_keys("b", "a")
    assert one["Resources"] == other["Resources"]


def test_the_outputs_name_the_keys_and_the_newest() -> None:
    api = with_keys("first", "second")
    newest = api["Outputs"][API_KEY_ID]["Value"]["Ref"]
    assert newest in of_type(api, KEY) and "second" in newest
    parts = api["Outputs"][API_KEY_IDS]["Value"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else part["Ref"] for part in parts)
    assert json.loads(text)["second"] == newest
    assert list(json.loads(text)) == ["first", "second"]


def test_each_key_may_have_limits_of_its_own() -> None:
    limits = {"key_rate_limit": 3, "key_burst_limit": 6, "key_quota": 1000}
    settings = changed("dev", api={**limits, "key_quota_period": "day"}, batch={"rate_limit": 0.5})
    [plan] = properties(
        some_templates_of(settings, FrontDoorStack)["FrontDoor"], "AWS::ApiGateway::UsagePlan"
    )
    assert plan["Throttle"] == {"RateLimit": 3, "BurstLimit": 6}
    assert plan["Quota"] == {"Limit": 1000, "Period": "DAY"}
    assert plan["ApiStages"][0]["Throttle"]["/batch/POST"]["RateLimit"] == 0.5


@pytest.mark.parametrize("auth", ["iam", "jwt"])
def test_without_keys_the_stage_limits_requests_for_batches(auth: str) -> None:
    jwt = {"issuer": "https://issuer.example", "audience": ["faq"]}
    settings = changed("dev", api={"auth": auth, "jwt": jwt}, batch={"burst_limit": 2})
    [stage] = properties(
        some_templates_of(settings, FrontDoorStack)["FrontDoor"], "AWS::ApiGateway::Stage"
    )
    [batch] = [s for s in stage["MethodSettings"] if s["ResourcePath"] == "/~1batch"]
    limits = {"ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 2}
    assert batch["HttpMethod"] == "POST"
    assert limits.items() <= batch.items()
    # A method with settings of its own takes none of the stage's.
    [every] = [s for s in stage["MethodSettings"] if s["ResourcePath"] == "/*"]
    assert {k: v for k, v in every.items() if "Throttling" not in k}.keys() <= batch.keys()
