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
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks
from cfnlint.config import ConfigMixIn
from cfnlint.decode.decode import decode_str
from cfnlint.runner import Runner

from stacks.application import build_application
from stage.settings import Settings
from tests.support.accepted_findings import (
    CONFIGURED,
    STAGES,
    Finding,
    outdated,
    resource_name,
    unexplained,
)
from tests.support.synthesis import ROOT, Templates, listed, new_app, templates_of, with_everything

# The CDK makes a function depend on its role's policies and on the role, to which the function
# refers anyway.
CDK_OWN = "W3005"


@pytest.mark.parametrize("name", STAGES)
def test_nag_finds_nothing_without_a_reason(
    name: str, nag: Callable[[str], frozenset[Finding]]
) -> None:
    assert unexplained(nag(name)) == []


def test_no_reason_is_left_for_what_nag_no_longer_finds(
    nag: Callable[[str], frozenset[Finding]],
) -> None:
    assert outdated(frozenset().union(*map(nag, STAGES)), "NIST") == []


@pytest.fixture(scope="module")
def nag(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], frozenset[Finding]]:
    """What cdk-nag finds in a stage, by both its packs; once a session and stage."""
    return cache(lambda name: _nag(STAGES[name](), tmp_path_factory.mktemp("nag")))


def _nag(settings: Settings, folder: Path) -> frozenset[Finding]:
    """An open bucket next to the app shows that both packs ran."""
    app = new_app(outdir=str(folder), builtin_cloud_formation_validation=True)
    build_application(app, settings)
    s3.Bucket(cdk.Stack(app, "Open"), "Bucket")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((folder / "validation-report.json").read_text())
    findings = {
        (violation["ruleName"], resource_name(construct["constructPath"]))
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
    for rule in ("AwsSolutions-S10", "NIST.800.53.R5-S3BucketVersioningEnabled"):
        assert (rule, "Open/Bucket") in findings
    return frozenset(f for f in findings if not f[1].startswith("Open/"))


def test_cfn_lint_finds_nothing_with_all_optional_settings() -> None:
    templates = templates_of(with_everything("prod"))
    for stack in ("Foundation", "FrontDoor", "Operations"):
        assert _lint(templates[stack]) == []


@pytest.mark.parametrize("name", CONFIGURED)
def test_cfn_lint_finds_nothing(name: str, templates: Callable[[str], Templates]) -> None:
    assert {stack: found for stack, t in templates(name).items() if (found := _lint(t))} == {}


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
