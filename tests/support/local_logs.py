"""The log of each local AWS that tests started as a process: kept and shown when a test fails."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

KEPT = Path(__file__).parents[2] / ".build/failed-tests"
_SHOWN_LINES = 100

started: list[Path] = []  # their logs; what starts one adds its log


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the logs to the report of a failure."""
    del call
    report = yield
    for number, log in enumerate(started if report.failed else []):
        if log.exists():
            KEPT.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^\w.-]+", "-", item.nodeid)
            kept = shutil.copy(log, KEPT / f"{name}-{number}.log")
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            report.sections.append((f"Local AWS ({kept})", "\n".join(lines[-_SHOWN_LINES:])))
    return report
