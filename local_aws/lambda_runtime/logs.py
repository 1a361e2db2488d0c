"""What workers print, in one file a function and in moto's CloudWatch Logs."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)
_TAIL = 4096  # bytes that Invoke returns as LogResult


class FunctionLog:
    """The log of one function.

    Args:
        path: File that lines are appended to.
        publish: Also gets the lines: time in ms, line.
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
            # A log group deleted in between must not fail an invocation.
            _log.debug("log lines not published", exc_info=True)


class LogPump:
    """Moves what one process prints into its function's log, in a thread of its own.

    Args:
        source: Read end of a pipe; closed at the pipe's end.
    """

    def __init__(self, source: int, log: FunctionLog) -> None:
        os.set_blocking(source, False)
        self._source = source
        self._log = log
        self._lock = threading.Lock()
        self._open = True
        self._rest = b""
        self._tail = b""
        threading.Thread(target=self._run, name="lambda-log", daemon=True).start()

    def start_tail(self) -> None:
        """Forgets what was printed before: `tail` tells about one invocation."""
        self.drain()
        self._tail = b""

    def tail(self) -> bytes:
        """The last 4 KB printed since `start_tail`."""
        self.drain()
        return self._tail

    def mark(self, line: str) -> None:
        """Adds a line of the service's own, behind all that was printed so far."""
        with self._lock:
            self._drain()
            self._take(line.encode() + b"\n")

    def drain(self) -> None:
        """Takes what has been printed by now."""
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
        self._tail = (self._tail + data)[-_TAIL:]
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._log.write(lines + newline)
