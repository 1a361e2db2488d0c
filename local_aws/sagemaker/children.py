"""Child processes that never outlive the server.

Run as a program, this file is the watchdog that ends them when the server is gone.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

_CONTAINER_ROOT = re.compile(r"(?<![\w./])/opt/ml(?=/|$)")


def replace_container_root(text: str, base_dir: Path) -> str:
    """`text` with /opt/ml replaced by the folder that stands for it."""
    return _CONTAINER_ROOT.sub(lambda _: str(base_dir), text)


def container_environment(base_dir: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a container's process, without anything from the server's.

    Args:
        base_dir: Stands for /opt/ml; the process knows it as SAGEMAKER_BASE_DIR.
        variables: Of the model or job; /opt/ml in them becomes `base_dir`.
    """
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(base_dir),
        "TMPDIR": str(base_dir / "tmp"),
        # As in AWS's Deep Learning Containers.
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONIOENCODING": "UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **{key: replace_container_root(value, base_dir) for key, value in variables.items()},
        "SAGEMAKER_BASE_DIR": str(base_dir),
    }


class Children:
    """Starts processes in separate groups and ends the groups."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._closed = False
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            text=True,
            # Ctrl-C in the terminal is for the server to handle.
            start_new_session=True,
        )

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        output: IO[bytes] | int,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Starts a process that leads a group; both its streams go to `output`.

        Raises:
            OSError: The command cannot be run.
            RuntimeError: The server is ending.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the local AWS is ending")
            process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )
            self._running[process.pid] = process
            self._report(f"+{process.pid}")
        return process

    def end(self, process: subprocess.Popen[bytes], grace: float) -> None:
        """Ends a group by SIGTERM and, after `grace` seconds, SIGKILL; waits for its end."""
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        self.reap(process)

    def reap(self, process: subprocess.Popen[bytes]) -> None:
        """Kills the rest of the process's group and forgets it."""
        with self._lock:
            if self._running.pop(process.pid, None):
                _kill(process.pid)
                self._report(f"-{process.pid}")
        process.wait()

    def close(self) -> None:
        """Kills all groups and waits until their leaders have ended."""
        with self._lock:
            self._closed = True
            killed, self._running = self._running, {}
            for group in killed:
                _kill(group)
            if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
                self._watchdog.stdin.close()
        self._watchdog.wait()
        for process in killed.values():
            process.wait()

    def _report(self, line: str) -> None:
        if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
            self._watchdog.stdin.write(f"{line}\n")
            self._watchdog.stdin.flush()


def watch(lines: Iterable[str]) -> None:
    """Kills the remaining process groups when `lines` end, however the server ended.

    (Linux's parent-death signal follows the thread that started the child, not the process, and
    macOS has none.)

    Args:
        lines: "+<process group>" or "-<process group>" each.
    """
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin)
