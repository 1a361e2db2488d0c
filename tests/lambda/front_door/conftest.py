"""The front door's function, loaded once for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.front_door import FrontDoor, front_door


@pytest.fixture(scope="module")
def loaded() -> Iterator[FrontDoor]:
    with front_door() as door:
        yield door


@pytest.fixture
def door(loaded: FrontDoor) -> FrontDoor:
    return loaded.reset()
