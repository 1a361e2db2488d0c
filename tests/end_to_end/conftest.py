"""The app, deployed once for all tests that only ask it things."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from corpus.reader import Entry, read_corpus
from faq_search.api import FaqSearch
from local_aws.iam.report import Reasons, read
from tests.end_to_end.local_app import ROOT, SAMPLE, LocalApp
from tests.support.local_logs import pytest_runtest_makereport  # noqa: F401  a hook

# A second stage beside the first: signed requests, one small endpoint.
SIGNED = (ROOT / "config/dev.toml").read_text(encoding="utf-8").replace('"api_key"', '"iam"', 1)

KEEP_UNANSWERED = "\n[search]\nkeep_unanswered = true\n"


def _with_category(entry: Entry) -> str:
    """An entry of the sample as a JSON line, with a category that the sample does not have."""
    category = "odd" if int(entry.id) % 2 else "even"
    return replace(entry, fields={"category": category}).canonical()


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApp]:
    folder = tmp_path_factory.mktemp("local")
    config = folder / "config"
    config.mkdir()
    corpus = folder / "faq.jsonl"
    corpus.write_text("".join(map(_with_category, read_corpus(SAMPLE))), encoding="utf-8")
    settings = (ROOT / "config/local.toml").read_text(encoding="utf-8") + KEEP_UNANSWERED
    (config / "local.toml").write_text(settings.replace(str(SAMPLE.relative_to(ROOT)), str(corpus)))
    (config / "signed.toml").write_text(SIGNED)
    app = LocalApp(folder / "state", config=config).start()
    yield app
    if app.process.poll() is None:
        app.interrupt()
    report = read([app.state / "iam/decisions.jsonl"])
    reasons = Reasons.read(ROOT / "stacks/unused_grants.toml")
    assert reasons.superfluous(report) == []


@pytest.fixture
def client(app: LocalApp) -> Iterator[FaqSearch]:
    with app.client() as client:
        yield client
