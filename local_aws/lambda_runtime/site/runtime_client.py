"""The Lambda Runtime API client that awslambdaric expects, without compiled code.

awslambdaric's own is built on Linux only. This one is the same on every platform and keeps one
connection open.
"""

from __future__ import annotations

import http.client
import os
import signal

_connection: http.client.HTTPConnection
_BASE = "/2018-06-01/runtime/invocation"
_DEADLINE = "Lambda-Runtime-Deadline-Ms"


def initialize_client(_user_agent: str) -> None:
    """Called once when awslambdaric is imported."""
    global _connection  # noqa: PLW0603  the interface is a module's functions
    _connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def next() -> tuple[bytes, dict[str, str | int]]:
    """Waits for the next event; returns its body and headers, with the deadline as a number."""
    body, found = _call("GET", "next")
    headers: dict[str, str | int] = dict(found)
    headers[_DEADLINE] = int(headers[_DEADLINE])
    return body, headers


def post_invocation_result(
    invoke_id: str, body: bytes, content_type: str, _invocation_id: str | None = None
) -> None:
    """Sends what the handler returned."""
    _call("POST", f"{invoke_id}/response", body, {"Content-Type": content_type})


def post_error(
    invoke_id: str, error: str, _xray_cause: str, _invocation_id: str | None = None
) -> None:
    """Sends what the handler raised."""
    _call("POST", f"{invoke_id}/error", error.encode(), {"Content-Type": "application/json"})


def _call(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[bytes, dict[str, str]]:
    try:
        _connection.request(method, f"{_BASE}/{path}", body, headers or {})
        response = _connection.getresponse()
        return response.read(), dict(response.headers.items())
    except (OSError, http.client.HTTPException):
        # The server is gone. Raising would leave behind what the function started.
        os.killpg(0, signal.SIGKILL)
        raise
