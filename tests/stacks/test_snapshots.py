"""Resources, outputs and permissions of every stage, as text that reviewers can diff.

After an intended change run `make snapshots` and commit what it wrote.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.synthesis import Templates, changed, listed, statements, templates_of

SNAPSHOTS = Path(__file__).parent / "snapshots"


def test_what_reviewers_read(stage: str, stage_templates: Templates) -> None:
    _compare(stage, stage_templates)


def test_what_reviewers_read_of_a_private_stage(templates: Callable[[str], Templates]) -> None:
    _compare("private", templates("private"))


def test_what_reviewers_read_of_a_stage_with_an_index() -> None:
    _compare("vectors", templates_of(changed("dev", search={"engine": "s3_vectors"})))


def _compare(stage: str, stage_templates: Templates) -> None:
    rendered = "\n".join(
        f"{'=' * 20} {stack}\n\n{_render(template)}" for stack, template in stage_templates.items()
    )
    file = SNAPSHOTS / f"{stage}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(rendered, encoding="utf-8")
    if rendered != file.read_text(encoding="utf-8"):
        pytest.fail(f"{file.name} differs from the templates. If intended: make snapshots")


def _render(template: dict[str, Any]) -> str:
    resources = sorted(f"{r['Type']}  {name}" for name, r in template["Resources"].items())
    outputs = sorted(template.get("Outputs", {}))
    allowed: dict[str, list[str]] = {}
    for name, statement in statements(template):
        lines = [f"  {statement['Effect'].lower()} {' '.join(listed(statement['Action']))}"]
        lines += [f"    on {_text(resource)}" for resource in listed(statement["Resource"])]
        if "Condition" in statement:
            lines.append(f"    if {json.dumps(statement['Condition'], sort_keys=True)}")
        allowed.setdefault(name, []).append("\n".join(lines))
    grants = "\n".join(f"{name}\n" + "\n".join(rules) for name, rules in sorted(allowed.items()))
    return "\n\n".join(
        ["\n".join(resources), f"Outputs: {', '.join(outputs) or 'none'}", grants, ""]
    )


def _text(resource: Any) -> str:
    """An ARN with its references in braces."""
    match resource:
        case {"Fn::Join": ["", parts]}:
            return "".join(_text(part) for part in parts)
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{{{name}.{attribute}}}"
        case {"Ref": name} | {"Fn::ImportValue": name}:
            return f"{{{name}}}"
    return str(resource)
