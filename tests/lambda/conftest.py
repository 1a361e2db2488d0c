"""Fixtures for tests of Lambda functions."""

from __future__ import annotations

import pytest


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the code wanted to sleep, which it did not."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made
