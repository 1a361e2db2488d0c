"""API keys: no template holds their values, and each is added and removed on its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

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
    assert [covered["Stage"]["Ref"] for covered in plan["Properties"]["ApiStages"]] == [stage]
    assert properties(api, OF_PLAN) == [
        {"KeyId": {"Ref": name}, "KeyType": "API_KEY", "UsagePlanId": {"Ref": plan_name}}
    ]
    assert not of_type(templates("prod")["FrontDoor"], KEY)


def test_rotation_adds_one_key_and_removes_one(templates: Callable[[str], Templates]) -> None:
    before = templates("dev")["FrontDoor"]["Resources"]
    during = with_keys("first", "second")["Resources"]
    after = with_keys("second")["Resources"]
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
