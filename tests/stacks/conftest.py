"""Synthesised templates, once a session for each stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.support.synthesis import Templates, assemble, synthesise, with_everything


@pytest.fixture(scope="session")
def templates() -> Callable[[str], Templates]:
    return cache(synthesise)


@pytest.fixture(scope="session", params=["local", "dev", "prod"])
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage_templates(stage: str, templates: Callable[[str], Templates]) -> Templates:
    return templates(stage)


@pytest.fixture(scope="session")
def everything() -> Templates:
    """Stage dev with each table of the settings that may be left out."""
    return {name: stack.template for name, stack in assemble(with_everything("dev")).items()}
