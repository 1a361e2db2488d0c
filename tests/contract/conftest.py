"""Fixtures of the contract tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.template.synthesis import Templates, synthesise


@pytest.fixture(scope="session")
def templates() -> Callable[[str], Templates]:
    """The templates of a stage, synthesised once."""
    return cache(synthesise)
