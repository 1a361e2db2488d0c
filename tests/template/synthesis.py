"""Synthesises the app, and finds things in its templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from stacks.application import build_application
from stacks.settings import load_settings

ROOT = Path(__file__).parents[2]
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]

Templates = dict[str, dict[str, Any]]


def new_app(**options: Any) -> cdk.App:
    """An app with the feature flags that the CDK command line would read from cdk.json."""
    return cdk.App(context=CONTEXT, **options)


def synthesise(stage: str, corpus: Path | None = None, directory: Path | None = None) -> Templates:
    """The templates of a stage by the last part of their stack's name."""
    app = new_app()
    build_application(
        app,
        load_settings(
            stage, str(corpus) if corpus else None, str(directory) if directory else None
        ),
    )
    return {s.stack_name.rpartition("-")[2]: s.template for s in app.synth().stacks}


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
