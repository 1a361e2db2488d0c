"""How a running local AWS ends."""

from __future__ import annotations

import os

import pytest

from tests.end_to_end.local_app import LocalApp, processes


def test_ctrl_c_leaves_no_process_behind(app: LocalApp) -> None:
    """The last test of the shared deployment."""
    children = [int(f.read_text()) for f in (app.state / "sagemaker/endpoints").rglob("pid")]
    assert len(children) == 2
    assert app.interrupt() == 130
    assert not processes(app.process.pid)
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    assert not (app.state / "api.json").exists()
    assert "Traceback" not in app.output
