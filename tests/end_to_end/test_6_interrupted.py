"""Ctrl-C during a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.local_app import LocalApp, processes


@pytest.mark.parametrize("moment", ["cdk bootstrap", "Custom::Bake"])
def test_ctrl_c_in_the_middle_of_it_leaves_no_process_either(tmp_path: Path, moment: str) -> None:
    app = LocalApp(tmp_path / "state")
    app.launch()
    app.wait_for(moment)
    assert app.interrupt() == 130
    assert "Traceback" not in app.output
    assert not processes(app.process.pid)
    assert not (app.state / "running.json").exists()
