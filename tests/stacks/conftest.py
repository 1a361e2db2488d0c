"""Synthesised templates, once per session and stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from stage.settings import Settings, load_settings
from tests.support.synthesis import Templates, synthesise, templates_of, with_everything


@pytest.fixture(scope="session")
def templates() -> Callable[[str], Templates]:
    return cache(synthesise)


@pytest.fixture(scope="session", params=["local", "dev", "prod"])
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage_templates(stage: str, templates: Callable[[str], Templates]) -> Templates:
    return templates(stage)


@pytest.fixture
def model(stage_templates: Templates) -> dict[str, Any]:
    return stage_templates["Model"]


@pytest.fixture
def api(stage_templates: Templates) -> dict[str, Any]:
    return stage_templates["FrontDoor"]


@pytest.fixture(scope="session")
def everything() -> Templates:
    """Stage dev with every optional table of the settings."""
    return templates_of(with_everything("dev"))


@pytest.fixture
def settings(stage: str) -> Settings:
    return load_settings(stage)
