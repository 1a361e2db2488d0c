"""HTTP/1.1 with connections kept open.

werkzeug's handler closes every connection and waits 10 ms after each request for bytes that it
might have to discard. A deployment makes thousands of requests, and a search several.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, cast

from werkzeug.serving import DechunkedInput
from werkzeug.wsgi import LimitedStream

from local_aws.moto_adapter import RequestHandler
from local_aws.service_errors import FORM, failure_response, is_form

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# Bodies of at most this many bytes are sent together with the headers.
_ONE_PACKET = 64 * 1024


class _MalformedBodyError(OSError):
    """A body whose end cannot be found."""


class _Chunks(DechunkedInput):
    """A chunked body that reports at once, and always, that it is malformed."""

    _malformed = False

    def readinto(self, buf: bytearray) -> int:  # type: ignore[override]
        try:
            if not self._malformed:
                return super().readinto(buf)
        except OSError:
            self._malformed = True
        raise _MalformedBodyError("Malformed chunk")


class _Body(LimitedStream):
    """A body of known length, which is read in one piece rather than by 64 KiB."""

    def readall(self) -> bytes:
        content: bytes = self._stream.read(self.limit - self._pos)
        self._pos += len(content)
        if not self.is_exhausted:
            self.on_disconnect()
        return content


class KeepAliveHandler(RequestHandler):
    """Serves WSGI requests, any number on one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # For idle connections of clients that vanished.
    timeout = 900
    # For invalid HTTP requests, which reach no service.
    error_content_type = "application/json"
    error_message_format = '{"message": "%(message)s"}'

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            self._serve()
        except _MalformedBodyError as error:
            # Nobody knows where the next request begins, and this closes the connection.
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))

    def _serve(self) -> None:
        self.environ = environ = self.make_environ()
        body = self._open_body(environ)
        try:
            answer = self._answer(self.server.app, environ)
        except _MalformedBodyError:
            raise
        except Exception as error:
            answer = self._answer(failure_response(environ, error), environ)
        # An unread rest would be taken for the next request.
        while body.read(1 << 20):
            pass
        self._send(*answer)

    def _open_body(self, environ: dict[str, Any]) -> io.RawIOBase:
        """Limits the body to its length, and keeps forms, which name the action."""
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit()):
            raise _MalformedBodyError("Invalid Content-Length")
        body: io.RawIOBase
        if isinstance(environ["wsgi.input"], DechunkedInput):
            body = _Chunks(cast(IO[bytes], self.rfile))
        else:
            body = _Body(cast(IO[bytes], self.rfile), int(length))
        environ["wsgi.input"] = body
        if is_form(environ) and environ["REQUEST_METHOD"] == "POST":
            environ[FORM] = body.read()
            environ["wsgi.input"] = io.BytesIO(environ[FORM])
        return body

    def _answer(
        self, application: WSGIApplication, environ: dict[str, Any]
    ) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = []
        written: list[bytes] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _error: object = None
        ) -> Callable[[bytes], None]:
            started[:] = [status, headers]
            return written.append

        parts: Iterable[bytes] = application(environ, cast(Any, start_response))
        try:
            written.extend(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return started[0], started[1], b"".join(written)

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
        """Logs nothing: one line per request would hide what matters."""
