"""The real server of the inference image: multi-model-server under the Hugging Face toolkit."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

# What the image's entry point runs, but for the place of the server's configuration, which is
# /etc/sagemaker-mms.properties there.
START = """
import sys
import sagemaker_inference.model_server as server
from sagemaker_huggingface_inference_toolkit import mms_model_server, serving
server.MMS_CONFIG_FILE = mms_model_server.MMS_CONFIG_FILE = sys.argv[1]
serving.main()
"""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    content_type: str | None
    text: str


class ModelServer:
    """One server at a time: it finds itself by searching the machine's processes."""

    def __init__(self, base: Path, **environment: str) -> None:
        """Starts the server on the artifact in ``base``/model."""
        self._folder = Path(tempfile.mkdtemp(prefix="mms-"))
        self._log = self._folder / "log"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, str(self._folder / "mms.properties")],
                cwd=self._folder,
                env={
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "TMPDIR": str(self._folder),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "HF_HUB_OFFLINE": "1",
                    "SAGEMAKER_BASE_DIR": str(base),
                    "SAGEMAKER_BIND_TO_PORT": str(port),
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                    **environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def log(self) -> str:
        """Everything the server and its worker have printed."""
        return self._log.read_text("utf-8", errors="replace")

    def processes(self, program: str = "") -> list[int]:
        """The server's processes that run, with ``program`` in their command."""
        return [
            int(folder.name)
            for folder in Path("/proc").glob("[0-9]*")
            if self._is_ours(int(folder.name))
            for command in [_command(folder)]
            if command and program in command
        ]

    def _is_ours(self, process: int) -> bool:
        with contextlib.suppress(ProcessLookupError):
            return os.getpgid(process) == self._process.pid
        return False

    def ping(self) -> int | None:
        """The health check's status; ``None`` when nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=2) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def wait_for_ping(self) -> None:
        """Waits until the health check answers 200."""
        self.wait(lambda: self.ping() == 200, "the first ping")

    def wait(self, done, what: str, seconds: float = 120) -> None:
        """Waits until ``done()``; fails with the log."""
        deadline = time.monotonic() + seconds
        while not done():
            failed = "Model server stopped" in self.log or time.monotonic() > deadline
            assert not failed, f"waited for {what}:\n{self.log[-5000:]}"
            time.sleep(0.1)

    def invoke(self, body: bytes, content_type: str | None, accept: str | None = None) -> Answer:
        """POST /invocations."""
        request = urllib.request.Request(f"{self.url}/invocations", body, method="POST")
        # urllib adds a type of its own where there is none.
        request.add_unredirected_header("Content-Type", content_type or "")
        if accept is not None:
            request.add_header("Accept", accept)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return _answer(response.status, response)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error)


def _command(folder: Path) -> str:
    """A process's command; nothing for one that has ended but was not waited for."""
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _free_port() -> int:
    """A free port that the server takes: it refuses those above 32767."""
    for port in range(21_000 + os.getpid() % 1000, 32_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")


def _answer(status: int, response) -> Answer:
    return Answer(status, response.headers.get("Content-Type"), response.read().decode("utf-8"))
