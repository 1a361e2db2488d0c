"""One execution environment: a process that runs a function, behind the Lambda Runtime API."""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from local_aws.iam.access import Access
from local_aws.iam.principals import AccessKey, Principal
from local_aws.lambda_runtime.logs import FunctionLog, LogPump
from local_aws.web_pages import web_page_refusal

logger = logging.getLogger(__name__)
_API = "/2018-06-01/runtime"
_CREDENTIALS = "/2021-04-23/credentials"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event for the handler."""

    request_id: str
    function_arn: str
    payload: bytes
    deadline_ms: int
    trace_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an invocation or of a start.

    Attributes:
        failed: Whether `payload` is an error object.
        usable: Whether the process can serve another event.
    """

    payload: bytes
    failed: bool
    usable: bool


def error_payload(error_type: str, message: str) -> bytes:
    """An error object of the service."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


class Snapshot:
    """The credentials of a function that SnapStart restores.

    Those of its import end with the restore, as if it took place hours later.
    """

    def __init__(self, access: Access, principal: Principal) -> None:
        self._access = access
        self._principal = principal
        self._key = access.passing_key_of(principal)
        self.token = secrets.token_urlsafe(30)
        self.is_restored = threading.Event()

    def restore(self) -> None:
        """Continues after the import; may be called again."""
        if not self.is_restored.is_set():
            self._access.revoke(self._key)
            self._key = self._access.key_of(self._principal)
            self.is_restored.set()

    def credentials(self) -> bytes:
        """What the function may sign with now, as AWS's SDKs read it."""
        expires = datetime.now(UTC) + timedelta(hours=6)
        key: AccessKey = self._key
        return json.dumps(
            {
                "AccessKeyId": key.id,
                "SecretAccessKey": key.secret,
                "Token": key.token,
                "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        ).encode()


class WorkerProcess:
    """A process that serves events one after the other.

    Args:
        handler: "module.function".
        folder: The function's code, which is the working directory.
        environment: The process's environment, without the Runtime API's address.
        site: The folder with the runtime's modules.
        snapshot: For a function with SnapStart, which gets its credentials from here.
    """

    def __init__(
        self,
        handler: str,
        folder: Path,
        environment: dict[str, str],
        site: Path,
        log: FunctionLog,
        *,
        snapshot: Snapshot | None = None,
    ) -> None:
        self.snapshot = snapshot
        # The process asks for an event before there is one; neither side polls.
        self._inbox: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._ready = False
        self._closing = False
        # One per process: awslambdaric reports init errors without saying for which function.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="lambda-api", daemon=True).start()
        if snapshot:
            environment = {
                **environment,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{address}{_CREDENTIALS}",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": snapshot.token,
            }
        lifeline, self._lifeline = os.pipe()
        output, printed = os.pipe()
        try:
            # -S and -P: nothing of this interpreter's environment is importable.
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-P", str(site / "bootstrap.py"), str(lifeline), handler],
                cwd=folder,
                env={**environment, "AWS_LAMBDA_RUNTIME_API": address},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
            os.close(printed)
        self.log = LogPump(output, log)
        threading.Thread(target=self._await_exit, name="lambda-exit", daemon=True).start()

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.returncode is None and not self._closing

    def start(self, timeout: float) -> Outcome | None:
        """Waits for the import of the handler's module; returns the failure, if any."""
        try:
            outcome = self._outcomes.get(timeout=timeout)
        except queue.Empty:
            self.kill()
            message = f"Error: Init phase exceeded {timeout:.2f} seconds"
            return Outcome(error_payload("Sandbox.Timedout", message), failed=True, usable=False)
        return outcome if outcome.failed else None

    def send(self, invocation: Invocation) -> None:
        """Sends an event to the process, which must be idle."""
        if self.snapshot:
            self.snapshot.restore()
        self._inbox.put(invocation)

    def receive(self, timeout: float) -> Outcome | None:
        """The outcome of the event sent; None if it takes longer."""
        try:
            return self._outcomes.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None

    def kill(self) -> None:
        """Ends the process and everything it started, at once. May be called again."""
        if self._closing:
            return
        self._closing = True
        self._inbox.put(None)
        if self.snapshot:
            self.snapshot.restore()
        os.close(self._lifeline)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            logger.debug("Group %s had already ended", self._process.pid)
        try:
            # accept() does not return when another thread closes its socket, so connect to it.
            with socket.create_connection(self._listener.getsockname(), timeout=1):
                pass
        except OSError:
            logger.debug("The listener was already closed")
        self._process.wait()

    def _await_exit(self) -> None:
        status = self._process.wait()
        self.log.drain()
        if status < 0:
            reason = f"Runtime exited with error: signal: {signal.Signals(-status).name}"
        elif status:
            reason = f"Runtime exited with error: exit status {status}"
        else:
            reason = "Runtime exited without providing a reason"
        self._finish(error_payload("Runtime.ExitError", f"Error: {reason}"), failed=True)

    def _finish(self, payload: bytes, *, failed: bool, usable: bool = False) -> None:
        self._outcomes.put(Outcome(payload, failed, usable))

    def _accept(self) -> None:
        with self._listener:
            while not self._closing:
                connection, address = self._listener.accept()
                threading.Thread(
                    target=self._serve, args=(connection, address), name="lambda-api", daemon=True
                ).start()

    def _serve(self, connection: socket.socket, address: object) -> None:
        with connection:
            try:
                _RuntimeApi(connection, address, self)  # type: ignore[arg-type]
            except OSError:
                logger.debug("A worker's connection broke", exc_info=True)

    def next_event(self) -> Invocation | None:
        """Waits for an event; None if the process has to end."""
        self._imported()
        return self._inbox.get()

    def next_restore(self) -> bool:
        """Waits for the restore; False if the process has to end."""
        self._imported()
        if self.snapshot:
            self.snapshot.is_restored.wait()
        return not self._closing

    def _imported(self) -> None:
        if not self._ready:
            self._ready = True
            self._finish(b"", failed=False, usable=True)

    def answer(self, path: str, payload: bytes) -> None:
        """Receives what the process posted to `path`."""
        if path.endswith("/response"):
            self._finish(payload, failed=False, usable=True)
        else:
            ends = path.endswith(("/init/error", "/restore/error"))
            self._finish(payload, failed=True, usable=not ends)


class _RuntimeApi(BaseHTTPRequestHandler):
    """The Lambda Runtime API for one connection of a worker, and of nobody else."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: WorkerProcess  # type: ignore[assignment]

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        port = self.connection.getsockname()[1]
        if reason := web_page_refusal(self.headers, str(port)):
            self.send_error(403, reason)
            return False
        return True

    def do_GET(self) -> None:
        """`/runtime/invocation/next`; with SnapStart `/runtime/restore/next` and credentials."""
        snapshot = self.server.snapshot
        if self.path == f"{_API}/restore/next" and self.server.next_restore():
            self._send(200, {}, b"")
            return
        if self.path == _CREDENTIALS and snapshot:
            allowed = self.headers.get("Authorization") == snapshot.token
            self._send(200 if allowed else 403, {}, snapshot.credentials() if allowed else b"")
            return
        if self.path != f"{_API}/invocation/next":
            self._send(404, {}, b"")
            return
        invocation = self.server.next_event()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        self._send(200, headers, invocation.payload)

    def do_POST(self) -> None:
        """`/runtime/invocation/<id>/response` and `/error`; `/error` of `init` and `restore`."""
        payload = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.answer(self.path, payload)
        self._send(202, {"Content-Type": "application/json"}, b'{"status":"OK"}')

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self._headers_buffer.append(b"\r\n" + content)  # type: ignore[attr-defined]
        self.flush_headers()  # one packet, not two


def deadline_ms(seconds: float) -> int:
    """The deadline, in ms since 1970, of an invocation that starts now."""
    return int((time.time() + seconds) * 1000)
