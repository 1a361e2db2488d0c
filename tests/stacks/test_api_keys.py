"""API keys: none has its value in a template, and each comes and goes without the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.synthesis import ROOT, Templates, of_type, properties, synthesise

KEY, OF_PLAN = "AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlanKey"


def with_keys(tmp_path: Path, *names: str) -> dict[str, Any]:
    """The FrontDoor template of stage dev with keys of these names."""
    text = (ROOT / "config/dev.toml").read_text(encoding="utf-8")
    assert "api_keys" not in text
    given = f"[api]\napi_keys = {json.dumps(names)}"
    (tmp_path / "dev.toml").write_text(text.replace("[api]", given))
    return synthesise("dev", directory=tmp_path)["FrontDoor"]


def test_the_key_has_a_plan_and_no_value_in_the_template(
    templates: Callable[[str], Templates],
) -> None:
    api = templates("dev")["FrontDoor"]
    ((name, key),) = of_type(api, KEY).items()
    assert "Value" not in key["Properties"]
    ((plan_name, plan),) = of_type(api, "AWS::ApiGateway::UsagePlan").items()
    assert plan["Properties"]["Throttle"] == {"RateLimit": 20, "BurstLimit": 40}
    # A plan that covers no stage lets its keys in nowhere.
    (stage,) = of_type(api, "AWS::ApiGateway::Stage")
    assert [covered["Stage"]["Ref"] for covered in plan["Properties"]["ApiStages"]] == [stage]
    assert properties(api, OF_PLAN) == [
        {"KeyId": {"Ref": name}, "KeyType": "API_KEY", "UsagePlanId": {"Ref": plan_name}}
    ]
    assert not of_type(templates("prod")["FrontDoor"], KEY)


def test_rotation_adds_one_key_and_removes_one(
    templates: Callable[[str], Templates], tmp_path: Path
) -> None:
    before = templates("dev")["FrontDoor"]["Resources"]
    during = with_keys(tmp_path, "first", "second")["Resources"]
    after = with_keys(tmp_path, "second")["Resources"]
    # Nothing else changes: a key of the plan that was made anew would clash with itself.
    assert {name: during[name] for name in before} == before
    assert {name: during[name] for name in after} == after
    for one, other in ((during, before), (during, after)):
        assert sorted(r["Type"] for n, r in one.items() if n not in other) == [KEY, OF_PLAN]


def test_the_order_of_the_keys_changes_no_resource(tmp_path: Path) -> None:
    one, other = with_keys(tmp_path, "a", "b"), with_keys(tmp_path, "b", "a")
    assert one["Resources"] == other["Resources"]


def test_the_outputs_name_the_keys_and_the_newest(tmp_path: Path) -> None:
    api = with_keys(tmp_path, "first", "second")
    newest = api["Outputs"]["ApiKeyId"]["Value"]["Ref"]
    assert newest in of_type(api, KEY) and "second" in newest
    parts = api["Outputs"]["ApiKeyIds"]["Value"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else part["Ref"] for part in parts)
    assert json.loads(text)["second"] == newest
    assert list(json.loads(text)) == ["first", "second"]
