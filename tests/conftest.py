"""Fixtures for every layer of tests."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

from tests.support.bake_scenarios import bake
from tests.support.batch_scenarios import batch_aws, steps
from tests.support.cloudformation_answers import answers
from tests.support.recorded_aws import aws

__all__ = ["answers", "aws", "bake", "batch_aws", "steps"]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Lets Python look for garbage neither while it imports the tests, which is a third faster, nor
    later in what that has made.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
