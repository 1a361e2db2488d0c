"""One instance of an endpoint or job: a model server process and the connections to it."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3

from local_aws.sagemaker.children import Children, container_environment

logger = logging.getLogger(__name__)
_MODEL_SERVER = Path(__file__).with_name("model_server.py")
_PING_TIMEOUT = 2.0
_PING_INTERVAL = 0.05
_STOP_GRACE = 5.0
_FIRST_RESTART_DELAY = 0.5
_LONGEST_RESTART_DELAY = 30.0
# A transform job has no more requests in flight on one instance.
_KEPT_CONNECTIONS = 100


class NotAnsweringError(Exception):
    """No process listens: it has ended and its successor is not ready."""


@dataclass(frozen=True)
class InstancePlan:
    """What an instance runs.

    Args:
        label: For log lines.
        environment: The model's environment variables.
        model_dir: The unpacked artifact; None for a model without files.
        folder: The instance's own; holds "ml", which stands for /opt/ml, and "pid", the id of the
            process and of its group (SIGSTOP it to make the endpoint hang).
        log: Gets what the process writes.
        health_check_timeout: In seconds, for /ping.
    """

    label: str
    environment: Mapping[str, str]
    model_dir: Path | None
    folder: Path
    log: Path
    health_check_timeout: float


class Instance:
    """A model server that is restarted when it ends by itself.

    Args:
        closing: Set to end it or to keep it from starting.
    """

    def __init__(self, plan: InstancePlan, children: Children, closing: threading.Event) -> None:
        self.plan = plan
        self._children = children
        self._process: subprocess.Popen[bytes] | None = None
        self._pool: urllib3.HTTPConnectionPool | None = None
        self._healthy = threading.Event()
        self._closing = closing
        self._has_ended = False

    @property
    def healthy(self) -> bool:
        """Whether it answers, as far as known."""
        return self._healthy.is_set()

    @property
    def has_ended(self) -> bool:
        """Whether the process ever ended by itself after being healthy."""
        return self._has_ended

    def start(self) -> bool:
        """Starts the process and waits for /ping; False if it ended or the timeout passed."""
        self._launch()
        if not self._await_health():
            return False
        threading.Thread(target=self._keep_alive, name="instance", daemon=True).start()
        return True

    def post(
        self, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> urllib3.BaseHTTPResponse:
        """Sends one request to /invocations.

        Raises:
            NotAnsweringError: Nothing listens.
            urllib3.exceptions.HTTPError: No answer within `timeout`, or the server ended.
        """
        pool = self._pool
        if pool is None or not self._healthy.is_set():
            raise NotAnsweringError
        try:
            return pool.urlopen(
                "POST",
                "/invocations",
                body=body,
                headers=headers,
                retries=False,
                timeout=urllib3.Timeout(connect=1.0, read=timeout),
            )
        except urllib3.exceptions.NewConnectionError as error:
            raise NotAnsweringError from error

    def close(self) -> None:
        """Ends the process and removes the instance's folder; the log stays."""
        self._closing.set()
        self._healthy.clear()
        if self._process is not None:
            self._children.end(self._process, _STOP_GRACE)
        if self._pool is not None:
            self._pool.close()
        shutil.rmtree(self.plan.folder, ignore_errors=True)

    def last_words(self) -> str:
        """The last line of the log with content."""
        with contextlib.suppress(OSError):
            lines = self.plan.log.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def _launch(self) -> None:
        base_dir = self.plan.folder / "ml"
        (base_dir / "tmp").mkdir(parents=True, exist_ok=True)
        model = base_dir / "model"
        if self.plan.model_dir is None:
            model.mkdir(exist_ok=True)
        elif not model.is_symlink():
            model.symlink_to(self.plan.model_dir, target_is_directory=True)
        self.plan.log.parent.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            port = listener.getsockname()[1]
            with self.plan.log.open("ab") as log:
                process = self._children.start(
                    # -P: this folder's modules are not part of the container.
                    [sys.executable, "-P", str(_MODEL_SERVER), str(listener.fileno())],
                    env=container_environment(base_dir, self.plan.environment),
                    cwd=base_dir,
                    output=log,
                    pass_fds=[listener.fileno()],
                )
        self._process = process
        # Renamed, so that no reader finds the file empty.
        written = self.plan.folder / "pid.new"
        written.write_text(f"{process.pid}\n")
        written.replace(self.plan.folder / "pid")
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=_KEPT_CONNECTIONS)

    def _await_health(self) -> bool:
        deadline = time.monotonic() + self.plan.health_check_timeout
        while time.monotonic() < deadline and not self._closing.is_set():
            # A process that has ended will not answer.
            if self._process is None or self._process.poll() is not None:
                return False
            if self._ping(min(_PING_TIMEOUT, deadline - time.monotonic())):
                self._healthy.set()
                return True
            time.sleep(_PING_INTERVAL)
        return False

    def _ping(self, timeout: float) -> bool:
        if self._pool is None:
            return False
        try:
            response = self._pool.urlopen("GET", "/ping", retries=False, timeout=timeout)
        except urllib3.exceptions.HTTPError:
            return False
        return response.status == 200

    def _keep_alive(self) -> None:
        delay = _FIRST_RESTART_DELAY
        while self._process is not None:
            started = time.monotonic()
            status = self._process.wait()
            self._healthy.clear()
            if self._closing.is_set():
                return
            self._has_ended = True
            if time.monotonic() - started > _LONGEST_RESTART_DELAY:
                delay = _FIRST_RESTART_DELAY
            logger.warning(
                "%s: the model server ended with status %s; restarting it in %.1f s",
                self.plan.label,
                status,
                delay,
            )
            self._children.reap(self._process)
            if self._closing.wait(delay):
                return
            delay = min(2 * delay, _LONGEST_RESTART_DELAY)
            try:
                self._launch()
            except RuntimeError:
                return
            self._await_health()
            if self._closing.is_set() and self._process is not None:
                # close() may have run before this process existed.
                self._children.end(self._process, 0)
