"""The real model baked, for the checks against sentence-transformers and the real server.

These tests run in a separate environment (requirements/reference.in) and use no fixtures from
outside this folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.container import REPOSITORY, BakeRun, minilm
from tests.support.local_logs import pytest_runtest_makereport  # noqa: F401  a hook
from tests.support.together import Together

SAMPLE = REPOSITORY / "corpus" / "sample" / "amazon_sagemaker_faq.csv"


# Their tests share servers, bakes or models.
TOGETHER = ("test_image_python", "test_model_server", "test_parity", "test_search_agrees")
LONGEST_WAIT = "test_a_load_beyond_the_servers_time_limit_is_waited_for"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log, {f"{name}.py": name for name in TOGETHER})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with what mostly waits, so that the other tests run beside it."""
    items.sort(key=lambda item: item.name != LONGEST_WAIT)


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory) -> BakeRun:
    """The sample corpus baked with all-MiniLM-L6-v2, as a training job."""
    run = BakeRun(tmp_path_factory.mktemp("sample"), minilm(), SAMPLE.read_bytes())
    status, output = run.run()
    assert status == 0, output
    return run


@pytest.fixture(scope="session")
def artifact(sample_run) -> Path:
    return sample_run.model
