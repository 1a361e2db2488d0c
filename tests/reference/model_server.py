"""Requests to the real server of the inference image."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import bench.model_server
from stage.model_server import CPU_WORKERS

JSON = "application/json"
# One worker with the model in it; several that share an encoder process and load one by one, as
# with a GPU; several that are forked from a process that has loaded.
SERVERS = {
    "one worker": {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
    "workers": {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"},
    "workers, preloaded": CPU_WORKERS,
}


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    content_type: str | None
    text: str


class ModelServer(bench.model_server.ModelServer):
    """A server on the artifact in `base`/model, for as long as a with statement runs."""

    def __init__(self, base: Path, **environment: str) -> None:
        usual = {"PYTHONDONTWRITEBYTECODE": "1", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
        super().__init__(sys.executable, base, usual | environment)

    def processes(self, program: str = "") -> list[int]:
        """The server's running processes with `program` in their command."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            # A process that ends meanwhile is none; a zombie has no command.
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                process = int(folder.name)
                if command and program in command and os.getpgid(process) == self.group:
                    found.append(process)
        return found

    def invoke(
        self,
        body: bytes,
        content_type: str | None,
        accept: str | None = None,
        seconds: float = 120,
    ) -> Answer:
        """POST /invocations. Raises TimeoutError after `seconds` without an answer."""
        request = urllib.request.Request(f"{self.url}/invocations", body, method="POST")
        # urllib adds its own type if there is none.
        request.add_unredirected_header("Content-Type", content_type or "")
        if accept is not None:
            request.add_header("Accept", accept)
        try:
            response = urllib.request.urlopen(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read().decode("utf-8")
            return Answer(response.status, response.headers.get("Content-Type"), text)


def ask(server: ModelServer, body, content_type=JSON, accept=None):
    """The answer to a JSON body, which must be 200."""
    answer = server.invoke(json.dumps(body).encode(), content_type, accept)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)
