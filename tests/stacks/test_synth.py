"""Synth is a pure function of the repository: it needs no credentials and no network."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.synthesis import CONTEXT, ROOT

# Python imports this at startup. jsii talks to its node over pipes, so it needs no socket.
_NO_NETWORK = """
import socket
def refuse(*arguments, **options):
    raise RuntimeError("synth tried to use the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def test_twice_byte_identical_without_credentials_or_network(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_NO_NETWORK)
    first, second = (_synth(tmp_path, tmp_path / name) for name in ("first", "second"))
    assert any(name.endswith("Model.template.json") for name in first)
    assert first == second


def _synth(site: Path, outdir: Path) -> dict[str, str]:
    """Runs app.py without AWS credentials; returns the hash of each file it wrote."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CDK_"))}
    environment |= {
        "CDK_CONTEXT_JSON": json.dumps({**CONTEXT, "stage": "prod"}),
        "CDK_OUTDIR": str(outdir),
        "HOME": str(site),  # no ~/.aws either
        "PYTHONPATH": str(site),
    }
    subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, check=True)
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in outdir.rglob("*")
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
    assert "no settings for stage 'nowhere' in config; there are: dev, local, prod" in result.stderr
    assert "Traceback" not in result.stderr
