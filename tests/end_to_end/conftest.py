"""The app, deployed once for all tests that only ask it things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from faq_search.api import FaqSearch
from tests.end_to_end.local_app import LocalApp, deployed_app
from tests.support.local_logs import pytest_runtest_makereport  # noqa: F401  a hook
from tests.support.together import Together


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    files = ("test_1_rest_api.py", "test_2_operations.py", "test_3_attack.py", "test_4_end.py")
    shared = dict.fromkeys(files, "shared app")
    return Together(config, log, {**shared, "test_5_lifecycle.py": "lifecycle"})


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApp]:
    with deployed_app(tmp_path_factory.mktemp("local")) as app:
        yield app


@pytest.fixture
def client(app: LocalApp) -> Iterator[FaqSearch]:
    with app.client() as client:
        yield client
