"""The server of the inference image, multi-model-server under the Hugging Face toolkit."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.measure import BenchError

# The image's entry point; there, the configuration is /etc/sagemaker-mms.properties.
# The toolkit looks for its server among all processes of the machine; here several may run.
_START = """
import functools, psutil, sys
import sagemaker_inference.model_server as server
from sagemaker_huggingface_inference_toolkit import mms_model_server, serving
psutil.process_iter = functools.partial(psutil.Process().children, recursive=True)
server.MMS_CONFIG_FILE = mms_model_server.MMS_CONFIG_FILE = sys.argv[1]
serving.main()
"""
LOG = "log"
_WAIT_SECONDS = 90


@contextmanager
def model_server(python: str, base: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Serves the artifact in `base`/model; gives the URL of /invocations.

    Raises BenchError when it does not answer its health check within a minute and a half.
    """
    with tempfile.TemporaryDirectory(prefix="mms-") as name:
        process, url = start(python, base, Path(name), environment)
        try:
            _wait(f"{url}/ping", process, Path(name) / LOG)
            yield f"{url}/invocations"
        finally:
            kill(process)


def start(
    python: str, base: Path, folder: Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], str]:
    """Starts a server of the artifact in `base`/model, which keeps its files and LOG in `folder`.

    Returns the process and the URL that it will answer.
    """
    port = _free_port()
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [python, "-c", _START, str(folder / "mms.properties")],
            cwd=folder,
            env={
                "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
                "TMPDIR": str(folder),
                # Where its workers' sockets lie.
                "TEMP": str(folder),
                "HF_HUB_OFFLINE": "1",
                "SAGEMAKER_BASE_DIR": str(base),
                "SAGEMAKER_BIND_TO_PORT": str(port),
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                **environment,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, f"http://127.0.0.1:{port}"


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a started server and all below it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait(ping: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(ping, timeout=2):  # noqa: S310
            return
        time.sleep(0.1)
    told = log.read_text("utf-8", errors="replace")[-2000:]
    raise BenchError(f"the model server did not start:\n{told}")


def _free_port() -> int:
    """A free port that the server takes: none above 32767."""
    # Processes of nearby ids look in other places.
    for port in range(22_000 + os.getpid() * 10 % 9_000, 32_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchError("no free port")
