"""The CDK's own rules, cdk-nag and cfn-lint over every template of every stage."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks
from cfnlint.config import ConfigMixIn
from cfnlint.decode.decode import decode_str
from cfnlint.runner import Runner

from stacks.application import build_application
from stage.settings import Settings, load_settings
from tests.support.synthesis import ROOT, Templates, listed, new_app, templates_of, with_everything

# The CDK makes a function depend on its role's policies and on the role, to which the function
# refers anyway.
CDK_OWN = "W3005"


def test_nag_finds_nothing_without_a_reason(stage: str, tmp_path: Path) -> None:
    assert _nag(load_settings(stage), tmp_path) == set()


def test_nag_finds_nothing_with_all_optional_settings(tmp_path: Path) -> None:
    assert _nag(with_everything("prod"), tmp_path) == set()


def _nag(settings: Settings, tmp_path: Path) -> set[str]:
    """An open bucket next to the app shows that cdk-nag ran."""
    app = new_app(outdir=str(tmp_path), builtin_cloud_formation_validation=True)
    build_application(app, settings)
    s3.Bucket(cdk.Stack(app, "Open"), "Bucket")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((tmp_path / "validation-report.json").read_text())
    findings = {
        f"{violation['ruleName']} at {construct['constructPath']}"
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
    assert "AwsSolutions-S10 at Open/Bucket/Resource" in findings
    return {f for f in findings if " at Open/" not in f}


def test_cfn_lint_finds_nothing_with_all_optional_settings() -> None:
    templates = templates_of(with_everything("prod"))
    for stack in ("Foundation", "FrontDoor", "Operations"):
        assert _lint(templates[stack]) == []


def test_cfn_lint_finds_nothing(stage_templates: Templates) -> None:
    assert {stack: found for stack, t in stage_templates.items() if (found := _lint(t))} == {}


def test_cfn_lint_would_find_a_wrong_property(templates: Callable[[str], Templates]) -> None:
    template = templates("dev")["Foundation"]
    wrong = {"Wrong": {"Type": "AWS::S3::Bucket", "Properties": {"Size": 1}}}
    # A copy, because other tests share the fixture's template.
    template = template | {"Resources": template["Resources"] | wrong}
    assert any("Size" in finding for finding in _lint(template))


@cache
def _linter() -> Runner:
    """Made once: loading the rules takes about as long as checking a template."""
    return Runner(ConfigMixIn(regions=["us-east-1"], ignore_checks=[CDK_OWN]))


def _lint(template: dict[str, object]) -> list[str]:
    decoded, errors = decode_str(json.dumps(template))
    return [str(match) for match in (*errors, *_linter().validate_template(decoded))]


def test_the_reasons_for_unused_grants_are_for_what_is_granted(
    templates: Callable[[str], Templates],
) -> None:
    """That nothing uses them is seen where the local AWS runs."""
    reasons = tomllib.loads((ROOT / "stacks/unused_grants.toml").read_text(encoding="utf-8"))
    granted: dict[str, set[str]] = {role: set() for role in reasons}
    for template in templates("local").values():
        for name, resource in template["Resources"].items():
            values = resource.get("Properties", {})
            holders = [each["Ref"] for each in values.get("Roles", [])] or [name]
            documents = [each["PolicyDocument"] for each in values.get("Policies", [])]
            if resource["Type"] == "AWS::IAM::Policy":
                documents.append(values["PolicyDocument"])
            actions = [a for d in documents for s in d["Statement"] for a in listed(s["Action"])]
            managed = ["*"] if values.get("ManagedPolicyArns") else []
            for holder in granted.keys() & holders:
                granted[holder].update(actions, managed)
    assert {role: set(found) - granted[role] for role, found in reasons.items()} == {
        role: set() for role in reasons
    }
