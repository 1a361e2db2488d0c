"""Nothing that SageMaker starts outlives the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.sagemaker.children import Children, container_environment, replace_container_root
from tests.support.sagemaker import is_alive, wait_until

# A child, which ignores SIGTERM and prints the process id of its child.
FAMILY = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
SERVER = """
import subprocess, sys, time
from pathlib import Path
from local_aws.sagemaker.children import Children

children = Children()
with open(sys.argv[1], "wb") as output:
    children.start([sys.executable, "-c", sys.argv[2]], env={}, cwd=Path("/"), output=output)
time.sleep(60)
"""


def read_pid(path: Path) -> int:
    return int(wait_until(lambda: path.exists() and path.read_text().strip()))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_the_server_however_it_ends(
    tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "pid"
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(output), FAMILY])
    grandchild = read_pid(output)
    assert is_alive(grandchild)
    server.send_signal(number)
    server.wait()
    wait_until(lambda: not is_alive(grandchild))


@pytest.mark.parametrize("closing", [True, False])
def test_whole_families_have_ended_after_close_and_end(tmp_path: Path, closing: bool) -> None:
    children = Children()
    with (tmp_path / "pid").open("wb") as output:
        process = children.start(
            [sys.executable, "-c", FAMILY], env={}, cwd=tmp_path, output=output
        )
    grandchild = read_pid(tmp_path / "pid")
    if not closing:
        children.end(process, grace=0.1)
    children.close()
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not is_alive(grandchild))
    with pytest.raises(RuntimeError, match="is ending"):
        children.start(["true"], env={}, cwd=tmp_path, output=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("/opt/ml", "/b"),
        ("/opt/ml/model", "/b/model"),
        ("--dir=/opt/ml/model:/opt/ml/input", "--dir=/b/model:/b/input"),
        ("/opt/mlx/model", "/opt/mlx/model"),
        ("/data/opt/ml/model", "/data/opt/ml/model"),
    ],
)
def test_the_containers_root_is_replaced_where_it_is_one(text: str, replaced: str) -> None:
    assert replace_container_root(text, Path("/b")) == replaced


def test_a_container_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    found = container_environment(Path("/b"), {"SAGEMAKER_BASE_DIR": "/x", "A": "1"})
    assert "PYTHONPATH" not in found
    assert found["SAGEMAKER_BASE_DIR"] == "/b"
    assert found["A"] == "1"
    assert os.environ["PATH"] != found["PATH"]
