"""The short form of `make attack`, as far as it needs no deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attack import artifacts, bakes, bodies, garbage
from tests.attack.campaign import Part

SEED = 13


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attack")


def test_hostile_bodies(folder: Path) -> None:
    part = Part("bodies", SEED, short=True)
    bodies.attack(part, folder, 500)
    assert part.findings == []
    assert min(part.statuses["answered"], part.statuses["refused"]) > 50


def test_damaged_artifacts(folder: Path) -> None:
    part = Part("artifacts", SEED, short=True)
    artifacts.attack(part, folder, 15)
    assert part.findings == []
    assert part.statuses["refused"] > 8


def test_garbage_from_endpoints() -> None:
    part = Part("garbage", SEED, short=True)
    garbage.attack(part, slow=False)
    assert part.findings == []
    assert part.statuses["200"] > 100 and part.statuses["502 model_error"] > 50


def test_bakes_that_are_killed(folder: Path) -> None:
    part = Part("bakes", SEED, short=True)
    bakes.attack(part, folder, 3)
    assert part.findings == []
