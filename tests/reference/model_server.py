"""The real server of the inference image: multi-model-server under the Hugging Face toolkit."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.model_server import LOG, kill, start

JSON = "application/json"
# One worker with the model in it; several that share an encoder process, loaded one by one, as
# with a GPU; the same, forked from a process that has loaded.
SERVERS = {
    "one worker": {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
    "workers": {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"},
    "workers, preloaded": {"SAGEMAKER_MODEL_SERVER_WORKERS": "8", "MMS_PRELOAD_MODEL": "true"},
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    content_type: str | None
    text: str


class ModelServer:
    """A server, for as long as a with statement runs."""

    def __init__(self, base: Path, **environment: str) -> None:
        """Starts the server on the artifact in `base`/model."""
        folder = Path(tempfile.mkdtemp(prefix="mms-"))
        usual = {"PYTHONDONTWRITEBYTECODE": "1", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
        self._log = folder / LOG
        self._process, self.url = start(sys.executable, base, folder, usual | environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        kill(self._process)

    @property
    def log(self) -> str:
        """Everything the server and its worker have printed."""
        return self._log.read_text("utf-8", errors="replace")

    def processes(self, program: str = "") -> list[int]:
        """The server's processes that run, with `program` in their command."""
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
        """The health check's status; `None` when nothing answers."""
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
        """Waits until `done()`; fails with the log."""
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


def ask(server: ModelServer, body, content_type=JSON, accept=None):
    """The answer to a JSON body, which must be 200."""
    answer = server.invoke(json.dumps(body).encode(), content_type, accept)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def _command(folder: Path) -> str:
    """A process's command; nothing for one that has ended but was not waited for."""
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _answer(status: int, response) -> Answer:
    return Answer(status, response.headers.get("Content-Type"), response.read().decode("utf-8"))
