"""Fixtures for every layer of tests."""

from __future__ import annotations

import gc
from collections.abc import Generator
from functools import cache

import botocore.session
import pytest
from xdist.workermanage import WorkerController

from tests.support.bake_scenarios import bake
from tests.support.batch_scenarios import batch_aws, steps
from tests.support.cloudformation_answers import answers
from tests.support.index_scenarios import index_aws, index_resource, index_steps
from tests.support.recorded_aws import aws

__all__ = [
    "answers",
    "aws",
    "bake",
    "batch_aws",
    "index_aws",
    "index_resource",
    "index_steps",
    "steps",
]

# With each mock_aws a new session begins, which would read the descriptions of services again.
botocore.session.create_loader = cache(botocore.session.create_loader)


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


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController, error: object) -> None:
    """Says how a worker died, a signal as a negative number, which xdist does not."""
    if error:
        status = node.gateway._io.popen.wait(10)  # type: ignore[union-attr]
        print(f"\n{node.gateway.id} ended with status {status}", flush=True)
