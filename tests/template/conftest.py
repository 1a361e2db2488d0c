"""Synthesised templates, once a session for each stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.template.synthesis import Templates, synthesise


@pytest.fixture(scope="session")
def templates() -> Callable[[str], Templates]:
    return cache(synthesise)


@pytest.fixture(scope="session", params=["local", "dev", "prod"])
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage_templates(stage: str, templates: Callable[[str], Templates]) -> Templates:
    return templates(stage)
