"""Servers that run as processes of their own while a with statement does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.measure import ROOT, BenchError


class ServerProcess:
    """Runs `command`, by default in `folder`, which holds its log; all below it ends with it.

    The folder is removed at the end.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path | None = None,
    ) -> None:
        self._folder = folder
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=directory or folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # The process group of the server and everything below it.
        self.group = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """Everything that it and those below it have printed."""
        return (self._folder / "log").read_text("utf-8", errors="replace")

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def wait_for_answer(self, url: str, body: str, seconds: float = 180) -> float:
        """Asks until the answer is 200; returns the seconds. Raises BenchError with the log."""
        began = time.monotonic()
        headers = {"Content-Type": "application/json"}
        while True:
            request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                    answer.read()
                    return time.monotonic() - began
            except urllib.error.HTTPError as error:
                reason = f"{error.code} {error.read()[:300]!r}"
            except OSError as error:
                reason = str(error)
            if self.ended() or time.monotonic() - began > seconds:
                raise BenchError(f"no answer from {url}: {reason}\n{self.log[-2000:]}")
            time.sleep(0.02)


class HttpServer(ServerProcess):
    """Runs `command` in this process's environment, with some variables more."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        usual = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        folder = Path(tempfile.mkdtemp(prefix="server-"))
        super().__init__(folder, command, usual | dict(environment or {}), directory)
