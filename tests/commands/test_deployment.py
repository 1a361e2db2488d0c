"""`make deploy`: what a failed deployment leaves to be done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from commands import deployment
from contract.names import STACKS, Names


class Target:
    """An AWS on which every deployment fails; `stacks` are those that it has."""

    local = None

    def __init__(self, **stacks: dict[str, Any]) -> None:
        self.stacks = {Names("dev").stack(part): stack for part, stack in stacks.items()}

    def cdk(self, *arguments: str) -> int:
        return 7

    def find_stack(self, name: str) -> dict[str, Any] | None:
        found = self.stacks.get(name)
        return found and {"StackName": name, **found}


@pytest.fixture
def choice():
    settings = SimpleNamespace(names=Names("dev"), stacks=STACKS)
    return SimpleNamespace(settings=settings, context_options=[])


def test_a_failed_deployment_says_what_the_next_one_needs(choice, capsys):
    broken = {"StackStatus": "ROLLBACK_COMPLETE", "EnableTerminationProtection": True}
    target = Target(Foundation={"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}, Model=broken)
    assert deployment.deploy(target, choice, ask=False) == 7
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("FaqSearch-dev-Model (ROLLBACK_COMPLETE): ")
    assert "--no-enable-termination-protection --stack-name FaqSearch-dev-Model" in line


def test_without_credentials_the_cdk_has_the_last_word(choice, capsys, monkeypatch):
    def nobody(name):
        raise NoCredentialsError

    target = Target()
    monkeypatch.setattr(target, "find_stack", nobody)
    assert deployment.deploy(target, choice, ask=False) == 7
    assert capsys.readouterr().out == ""
