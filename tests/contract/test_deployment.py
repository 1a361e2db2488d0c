"""The value of the deployment parameter."""

from __future__ import annotations

import json

import pytest

from contract.deployment import Deployment

DEPLOYMENT = Deployment("b" * 64, "some-model", "1.0.0", 384, "c" * 64)
MEMBERS = json.loads(DEPLOYMENT.to_json())


def test_what_is_written_is_read() -> None:
    assert Deployment.from_json(DEPLOYMENT.to_json()) == DEPLOYMENT


def test_members_of_a_later_version_are_ignored() -> None:
    assert Deployment.from_json(json.dumps({**MEMBERS, "later": 1})) == DEPLOYMENT


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[]",
        "null",
        json.dumps({k: v for k, v in MEMBERS.items() if k != "bake_id"}),
        json.dumps({**MEMBERS, "dimension": "384"}),
        json.dumps({**MEMBERS, "dimension": True}),
        json.dumps({**MEMBERS, "bake_id": None}),
    ],
)
def test_anything_else_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not a deployment"):
        Deployment.from_json(value)
