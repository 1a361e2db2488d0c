"""Synthesises the app, and finds things in its templates."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk.cx_api import CloudFormationStackArtifact

from stacks.application import build_application
from stacks.batch.stack import BatchStack
from stacks.foundation.stack import FoundationStack
from stacks.front_door.stack import FrontDoorStack
from stacks.model.stack import ModelStack
from stage.settings import CONFIG_DIRECTORY, Settings, check_settings, load_settings

ROOT = Path(__file__).parents[2]
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]

Templates = dict[str, dict[str, Any]]
Stacks = dict[str, CloudFormationStackArtifact]


def new_app(**options: Any) -> cdk.App:
    """An app with the feature flags that the CDK command line would read from cdk.json.

    Args:
        options: of the App. Checking templates against AWS's rules takes longer than everything
            else, so it is off by default.
    """
    return cdk.App(context=CONTEXT, **{"builtin_cloud_formation_validation": False, **options})


def templates_of(settings: Settings) -> Templates:
    """The templates that these settings give, by the last part of their stack's name."""
    return {name: stack.template for name, stack in assemble(settings).items()}


def assemble(settings: Settings) -> Stacks:
    """The synthesised stacks by the last part of their name."""
    app = new_app()
    build_application(app, settings)
    return _synthesised(app)


def some_templates_of(
    settings: Settings, *stacks: type[BatchStack | FrontDoorStack | ModelStack]
) -> Templates:
    """Of Foundation and of these stacks alone, in less time than the whole app takes."""
    app = new_app()
    foundation = FoundationStack(app, settings=settings)
    for stack in stacks:
        stack(app, settings=settings, foundation=foundation)
    return {name: stack.template for name, stack in _synthesised(app).items()}


def _synthesised(app: cdk.App) -> Stacks:
    return {s.stack_name.rpartition("-")[2]: s for s in app.synth().stacks}


def changed(stage: str, **changes: Any) -> Settings:
    """A stage's settings with some keys of its tables changed; lists are replaced."""
    values = tomllib.loads((CONFIG_DIRECTORY / f"{stage}.toml").read_text(encoding="utf-8"))
    for name, change in changes.items():
        values[name] = {**values.get(name, {}), **change} if isinstance(change, dict) else change
    return check_settings(stage, values, source="test")


def with_everything(stage: str) -> Settings:
    """A stage's settings with every optional table; one that takes signatures takes tokens."""
    signed = load_settings(stage).api.auth == "iam"
    return changed(
        stage,
        api={
            "auth": "jwt" if signed else "api_key",
            "jwt": {
                "issuer": "https://issuer.example/pool",
                "audience": ["faq-search"],
                "scopes": ["faq/ask"],
                "jwks": [{"kty": "RSA", "kid": "1", "n": "AQAB", "e": "AQAB"}],
            },
            "waf": {"requests_per_address": 1000},
        },
        schedule={
            "on": "0 7 ? * MON-FRI *",
            "off": "0 19 ? * MON-FRI *",
            "timezone": "Europe/Berlin",
        },
        alarms={
            "emails": ["a@example.com", "b@example.com"],
            "unanswered_percent": 25,
            "corpus_stale_days": 90,
        },
        search={"engine": "s3_vectors", "keep_unanswered": True, "unanswered_retention_days": 14},
        logs={"customer_key": True},
        budget={"monthly_usd": 250},
        ci={"github_repository": "owner/faq", "deploy_branch": "release"},
    )


def of_type(template: dict[str, Any], resource_type: str) -> dict[str, dict[str, Any]]:
    """Resources of a type by logical id."""
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == resource_type
    }


def properties(template: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    return [r.get("Properties", {}) for r in of_type(template, resource_type).values()]


def statements(template: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every IAM statement of roles and policies, with the logical id it belongs to."""
    found = []
    for name, resource in template["Resources"].items():
        values = resource.get("Properties", {})
        documents = [p["PolicyDocument"] for p in values.get("Policies", [])]
        if resource["Type"] in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
            documents.append(values["PolicyDocument"])
        found += [(name, s) for document in documents for s in document["Statement"]]
    return found


def grant(template: dict[str, Any], name: str, action: str) -> dict[str, Any]:
    """The one statement with `action` of the role or policy whose logical id starts with `name`."""
    (found,) = (
        s
        for owner, s in statements(template)
        if owner.startswith(name) and action in listed(s["Action"])
    )
    return found


def listed(value: Any) -> list[Any]:
    """IAM takes one value for a list of one."""
    return value if isinstance(value, list) else [value]


def arn_ends(template: dict[str, Any], name: str, action: str) -> set[str]:
    """What comes after the last reference in each ARN that `action` is allowed on."""
    return {
        arn["Fn::Join"][1][-1] if isinstance(arn, dict) and "Fn::Join" in arn else str(arn)
        for arn in listed(grant(template, name, action)["Resource"])
    }
