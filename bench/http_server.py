"""A server that runs as a process of its own while a with statement does."""

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.measure import ROOT, BenchError


class HttpServer:
    """Runs `command`, by default in a folder of its own; all below it ends with it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="server-"))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder or self._folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "HF_HUB_OFFLINE": "1",
                    **(environment or {}),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
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
        """Everything that it has printed."""
        return (self._folder / "log").read_text("utf-8", errors="replace")

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None


def wait_for_answer(
    url: str, body: str, ended: Callable[[], bool], log: Callable[[], str], seconds: float = 180
) -> float:
    """Asks until the answer is 200; returns how long it took. Raises BenchError with the log."""
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
        if ended() or time.monotonic() - began > seconds:
            raise BenchError(f"no answer from {url}: {reason}\n{log()[-2000:]}")
        time.sleep(0.02)
