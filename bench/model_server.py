"""The server of the inference image: multi-model-server under the Hugging Face toolkit."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.http_server import ServerProcess
from bench.measure import BenchError

# The image's entry point, which reads its configuration from /etc/sagemaker-mms.properties. The
# toolkit looks for its server among all processes of the machine, but here several may run.
_START = """
import functools, psutil, sys
import sagemaker_inference.model_server as server
from sagemaker_huggingface_inference_toolkit import mms_model_server, serving
psutil.process_iter = functools.partial(psutil.Process().children, recursive=True)
server.MMS_CONFIG_FILE = mms_model_server.MMS_CONFIG_FILE = sys.argv[1]
serving.main()
"""


class ModelServer(ServerProcess):
    """A server of the artifact in `base`/model, for as long as a with statement runs."""

    def __init__(
        self, python: str, base: Path, environment: Mapping[str, str], port: int | None = None
    ) -> None:
        """Starts the server. `python` has its packages."""
        folder = Path(tempfile.mkdtemp(prefix="mms-"))
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(
            folder,
            [python, "-c", _START, str(folder / "mms.properties")],
            {
                "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
                "TMPDIR": str(folder),
                # For its workers' sockets.
                "TEMP": str(folder),
                "HF_HUB_OFFLINE": "1",
                "SAGEMAKER_BASE_DIR": str(base),
                "SAGEMAKER_BIND_TO_PORT": str(port),
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                **environment,
            },
        )

    def ping(self) -> int | None:
        """The status of the health check; `None` if nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=2) as response:  # noqa: S310
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def wait_until_up(self) -> None:
        """Waits until the health check succeeds. Raises BenchError with the log if it does not."""
        self.wait(lambda: self.ended() or self.ping() == 200, "the health check")
        if self.ended():
            raise BenchError(f"the model server ended:\n{self.log[-2000:]}")

    def wait(self, done: Callable[[], bool], what: str, seconds: float = 120) -> None:
        """Waits for `done()`; raises BenchError with the log if the server stops or time is up."""
        deadline = time.monotonic() + seconds
        while not done():
            if "Model server stopped" in self.log or time.monotonic() > deadline:
                raise BenchError(f"waited in vain for {what}:\n{self.log[-5000:]}")
            time.sleep(0.1)


def free_port() -> int:
    """A free port that the server accepts, at most 32767."""
    # Processes with nearby ids start at different ports.
    for port in range(22_000 + os.getpid() * 10 % 9_000, 32_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchError("no free port")
