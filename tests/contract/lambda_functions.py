"""Loads a Lambda function as Lambda does: its folder, and what is shared, lie flat on the path."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

LAMBDA_FOLDER = Path(__file__).parents[2] / "lambda"
REGION = "eu-west-1"


def load_function(name: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> ModuleType:
    """The handler module of one function, freshly imported, with its siblings.

    Args:
        name: the folder below lambda/.
        monkeypatch: undoes everything after the test.
        environment: what the deployed function would have; nothing else is left.
    """
    folders = [LAMBDA_FOLDER / name, LAMBDA_FOLDER / "shared"]
    clear_environment(monkeypatch, AWS_REGION=REGION, AWS_DEFAULT_REGION=REGION, **environment)
    for folder in reversed(folders):
        monkeypatch.syspath_prepend(str(folder))
    # Modules of the same names belong to other functions. What is imported from now on, late
    # imports included, is forgotten after the test, and theirs come back.
    for path in (path for folder in LAMBDA_FOLDER.iterdir() for path in folder.glob("*.py")):
        monkeypatch.setitem(sys.modules, path.stem, ModuleType(path.stem))
        del sys.modules[path.stem]
    return importlib.import_module("handler")


def clear_environment(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Leave only what is given: no profile or credentials of whoever runs the tests."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
