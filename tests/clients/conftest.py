"""The app, deployed for OpenAI's clients with a single endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.local_app import ROOT, LocalApp
from tests.support.local_logs import pytest_runtest_makereport  # noqa: F401  a hook


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApp]:
    folder = tmp_path_factory.mktemp("clients")
    app = LocalApp(folder / "state", stage="dev", config=ROOT / "config")
    try:
        yield app.start()
    finally:
        if app.process.poll() is None:
            app.interrupt()
