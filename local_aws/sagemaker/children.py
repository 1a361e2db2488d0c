"""Child processes that never outlive the server."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_WATCHDOG = Path(__file__).with_name("watchdog.py")
_CONTAINER_ROOT = re.compile(r"(?<![\w./])/opt/ml(?=/|$)")


def replace_container_root(text: str, base_dir: Path) -> str:
    """`text` with the container's /opt/ml turned into the folder that stands for it."""
    return _CONTAINER_ROOT.sub(lambda _: str(base_dir), text)


def container_environment(base_dir: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """What a container's process finds in its environment: nothing of the server's own.

    Args:
        base_dir: Stands for /opt/ml; told to the process as SAGEMAKER_BASE_DIR.
        variables: Those of the model or job; /opt/ml in them becomes `base_dir`.
    """
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(base_dir),
        "TMPDIR": str(base_dir / "tmp"),
        # As AWS's Deep Learning Containers set them.
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONIOENCODING": "UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **{key: replace_container_root(value, base_dir) for key, value in variables.items()},
        "SAGEMAKER_BASE_DIR": str(base_dir),
    }


class Children:
    """Starts processes in groups of their own, and ends the groups."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._closed = False
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WATCHDOG)],
            stdin=subprocess.PIPE,
            text=True,
            # Ctrl-C in the server's terminal is the server's to handle.
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
            OSError: The command can not be run.
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
            self._running.add(process.pid)
            self._tell(f"+{process.pid}")
        return process

    def end(self, process: subprocess.Popen[bytes], grace: float) -> None:
        """SIGTERM, then after `grace` seconds SIGKILL to the whole group; waits for its end."""
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        self.reap(process)

    def reap(self, process: subprocess.Popen[bytes]) -> None:
        """Kills what is left of the process's group and forgets it."""
        with self._lock:
            known = process.pid in self._running
            self._running.discard(process.pid)
            if known:
                _kill(process.pid)
                self._tell(f"-{process.pid}")
        process.wait()

    def close(self) -> None:
        """Kills every group at once."""
        with self._lock:
            self._closed = True
            for group in self._running:
                _kill(group)
            self._running.clear()
            if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
                self._watchdog.stdin.close()
        self._watchdog.wait()

    def _tell(self, line: str) -> None:
        if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
            self._watchdog.stdin.write(f"{line}\n")
            self._watchdog.stdin.flush()


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
