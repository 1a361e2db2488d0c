"""Writes what workers print to one file per function and to moto's CloudWatch Logs."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)


class FunctionLog:
    """The log of one function.

    Args:
        path: The file that lines are appended to.
        publish: Gets the lines, too, with their times in ms.
    """

    def __init__(self, path: Path, publish: Callable[[list[tuple[int, str]]], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._publish = publish
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Appends whole lines."""
        with self._lock:
            self._file.write(data)
        now = time.time_ns() // 1_000_000
        lines = data.decode("utf-8", "replace").splitlines()
        try:
            self._publish([(now, line) for line in lines if line])
        except Exception:
            # A deleted log group must not fail an invocation.
            logger.debug("Log lines were not published", exc_info=True)


class LogPump:
    """Copies what one process prints to its function's log, in a separate thread.

    Args:
        source: The read end of a pipe, which is closed at the pipe's end.
    """

    def __init__(self, source: int, log: FunctionLog) -> None:
        os.set_blocking(source, False)
        self._source = source
        self._log = log
        self._lock = threading.Lock()
        self._open = True
        self._rest = b""
        threading.Thread(target=self._run, name="lambda-log", daemon=True).start()

    def mark(self, line: str) -> None:
        """Adds a line of the service after everything printed so far."""
        with self._lock:
            self._drain()
            self._take(line.encode() + b"\n")

    def drain(self) -> None:
        """Copies everything printed so far."""
        with self._lock:
            self._drain()

    def _run(self) -> None:
        while self._open:
            select.select([self._source], [], [])
            self.drain()

    def _drain(self) -> None:
        while self._open:
            try:
                data = os.read(self._source, 65536)
            except BlockingIOError:
                return
            if data:
                self._take(data)
            else:
                self._open = False
                os.close(self._source)
                if self._rest:
                    self._take(b"\n")

    def _take(self, data: bytes) -> None:
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._log.write(lines + newline)
