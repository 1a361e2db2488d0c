"""A failed test shows and keeps the log of the local AWS it ran against."""

from __future__ import annotations

import types

import pytest

from tests.support import local_logs


@pytest.mark.parametrize("failed", [True, False])
def test_the_log_of_a_failed_test(tmp_path, monkeypatch, failed):
    log = tmp_path / "local_aws.log"
    log.write_text("\n".join(f"line {number}" for number in range(1000)))
    monkeypatch.setattr(local_logs, "started", [tmp_path / "gone.log", log])
    monkeypatch.setattr(local_logs, "KEPT", tmp_path / "kept")
    hook = local_logs.pytest_runtest_makereport(types.SimpleNamespace(nodeid="a/t.py::b[c]"), None)
    next(hook)
    report = types.SimpleNamespace(failed=failed, sections=[])
    with pytest.raises(StopIteration) as ended:
        hook.send(report)
    assert ended.value.value is report
    if not failed:
        assert report.sections == []
        return
    ((title, text),) = report.sections
    kept = tmp_path / "kept/a-t.py-b-c--1.log"
    assert str(kept) in title
    assert text.splitlines()[-1] == "line 999" and "line 0\n" not in text
    assert kept.read_text() == log.read_text()
