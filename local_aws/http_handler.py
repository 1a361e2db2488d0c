"""HTTP/1.1 with connections kept open.

werkzeug's own handler closes every connection and waits 10 ms after each request for bytes
it might have to throw away. A deployment makes thousands of requests, and a search several.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import IO, Any, cast

from werkzeug.exceptions import InternalServerError
from werkzeug.serving import DechunkedInput
from werkzeug.wsgi import LimitedStream

from local_aws.moto_adapter import RequestHandler

_log = logging.getLogger(__name__)

# Bytes of a body that are sent together with the headers; larger ones are not copied for that.
_ONE_PACKET = 64 * 1024


class KeepAliveHandler(RequestHandler):
    """Serves WSGI requests, any number on one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Idle connections of clients that went away without a word.
    timeout = 900

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.environ = environ = self.make_environ()
        body = environ["wsgi.input"]
        if not isinstance(body, DechunkedInput):
            body = LimitedStream(
                cast(IO[bytes], self.rfile), int(environ.get("CONTENT_LENGTH") or 0)
            )
            environ["wsgi.input"] = body
        try:
            status, headers, content = self._answer(environ)
        except Exception:
            _log.exception("no answer to %s %s", self.command, self.path)
            status, headers, content = self._failure(environ)
        # What the application left unread would be taken for the next request.
        while body.read(1 << 20):
            pass
        self._send(status, headers, content)

    def _answer(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = []
        written: list[bytes] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _error: object = None
        ) -> Callable[[bytes], None]:
            started[:] = [status, headers]
            return written.append

        parts: Iterable[bytes] = self.server.app(environ, start_response)
        try:
            written.extend(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return started[0], started[1], b"".join(written)

    def _failure(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        response = InternalServerError().get_response(environ)
        status = f"{response.status_code} {HTTPStatus(response.status_code).phrase}"
        return status, list(response.headers), response.get_data()

    def _send(self, status: str, headers: list[tuple[str, str]], content: bytes) -> None:
        code, _, phrase = status.partition(" ")
        self.send_response(int(code), phrase)
        lengths = [value for key, value in headers if key.lower() == "content-length"]
        for key, value in headers:
            if key.lower() not in {"content-length", "connection", "date", "server"}:
                self.send_header(key, value)
        without_body = self.command == "HEAD" or int(code) in {204, 304}
        if self.command == "HEAD" and lengths:
            self.send_header("Content-Length", lengths[0])
        elif not without_body:
            self.send_header("Content-Length", str(len(content)))
        self._headers_buffer.append(b"\r\n")
        if not without_body and len(content) <= _ONE_PACKET:
            self._headers_buffer.append(content)
        self.flush_headers()
        if not without_body and len(content) > _ONE_PACKET:
            self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing: one line a request would hide what matters."""
