"""The app, deployed once for all tests that only ask it things."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faq_search.api import FaqSearch
from tests.end_to_end.local_app import ROOT, LocalApp
from tests.support.local_logs import pytest_runtest_makereport  # noqa: F401  a hook

# A second stage beside the first: signed requests, one small endpoint.
SIGNED = (ROOT / "config/dev.toml").read_text(encoding="utf-8").replace('"api_key"', '"iam"', 1)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApp]:
    folder = tmp_path_factory.mktemp("local")
    config = folder / "config"
    config.mkdir()
    (config / "local.toml").write_bytes((ROOT / "config/local.toml").read_bytes())
    (config / "signed.toml").write_text(SIGNED)
    app = LocalApp(folder / "state", config=config).start()
    yield app
    if app.process.poll() is None:
        app.interrupt()


@pytest.fixture
def client(app: LocalApp) -> Iterator[FaqSearch]:
    with app.client() as client:
        yield client
