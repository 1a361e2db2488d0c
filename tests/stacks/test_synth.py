"""Synth is a pure function of the repository: it needs no credentials and no network."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.synthesis import CONTEXT, ROOT, Stacks

# Python imports this at startup. jsii talks to its node over pipes, so it needs no socket.
_NO_NETWORK = """
import socket
def refuse(*arguments, **options):
    raise RuntimeError("synth tried to use the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def test_byte_identical_without_credentials_or_network(
    stacks: Callable[[str], Stacks], tmp_path: Path
) -> None:
    """As in this process, whose hashes of strings differ and which leaves the validation out."""
    (tmp_path / "sitecustomize.py").write_text(_NO_NETWORK)
    outdir = tmp_path / "out"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CDK_"))}
    environment |= {
        "CDK_CONTEXT_JSON": json.dumps({**CONTEXT, "stage": "prod"}),
        "CDK_OUTDIR": str(outdir),
        "HOME": str(tmp_path),  # no ~/.aws either
        "PYTHONPATH": str(tmp_path),
    }
    subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, check=True)
    (outdir / "validation-report.json").unlink()
    found = _files(outdir)
    assert any(name.endswith("Model.template.json") for name in found)
    assert found == _files(Path(stacks("prod")["Model"].assembly.directory))


def _files(folder: Path) -> dict[str, str]:
    """The hash of each file."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_wrong_settings_end_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "CDK_CONTEXT_JSON": json.dumps({**CONTEXT, "stage": "nowhere"})}
    result = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    stages = "dev, local, private, prod"
    assert f"no settings for stage 'nowhere' in config; there are: {stages}" in result.stderr
    assert "Traceback" not in result.stderr
