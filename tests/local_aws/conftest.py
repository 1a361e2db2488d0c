"""A local AWS for each module of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_aws.server import LocalAws
from tests.support.access import local_aws
from tests.support.workflow import Workflows


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.fixture(scope="module")
def workflows(aws: LocalAws) -> Workflows:
    return Workflows(aws)
