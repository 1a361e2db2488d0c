"""Synthesised templates, once per session and stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from stage.settings import Settings, load_settings
from tests.support.synthesis import Stacks, Templates, assemble, templates_of, with_everything


@pytest.fixture(scope="session")
def stacks() -> Callable[[str], Stacks]:
    return cache(lambda stage: assemble(load_settings(stage)))


@pytest.fixture(scope="session")
def templates(stacks: Callable[[str], Stacks]) -> Callable[[str], Templates]:
    return cache(lambda stage: {name: stack.template for name, stack in stacks(stage).items()})


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
