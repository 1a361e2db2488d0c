"""Loads a Lambda function as a cold start does: its handler's module afresh."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

import pytest

REGION = "eu-west-1"


def load_function(name: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> ModuleType:
    """The handler's module, such as `bake.handler`, imported anew.

    environment: what the deployed function would have; nothing else is left.
    """
    clear_environment(monkeypatch, AWS_REGION=REGION, AWS_DEFAULT_REGION=REGION, **environment)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def clear_environment(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Leaves only what is given: no profile or credentials of the person who runs the tests."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
