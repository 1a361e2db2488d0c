"""HTTP/1.1 with connections kept open.

werkzeug's handler closes every connection and waits 10 ms after each request for bytes that it
might have to discard. A deployment makes thousands of requests, and a search several.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, Never, cast

from werkzeug.wsgi import LimitedStream

from local_aws.moto_adapter import RequestHandler
from local_aws.service_errors import FORM, failure_response, is_form

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# Bodies of at most this many bytes are sent together with the headers.
_ONE_PACKET = 64 * 1024
# Of a chunked body: 4 GB at most a chunk, and extensions.
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r\n")
_LENGTH = re.compile("[0-9]{1,15}")
_LONGEST_LINE = 8192
_MOST_TRAILERS = 100


class _MalformedBodyError(OSError):
    """A body whose end cannot be found."""


class _Chunks(io.RawIOBase):
    """A chunked body that reports at once, and always, that it is malformed.

    werkzeug's own reads beyond its memory where a chunk is shorter than it says.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = 0  # of the current chunk
        self._state = "open"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._state == "malformed":
            self._refuse()
        if self._state == "ended":
            return 0
        if not self._left and not self._begin_chunk():
            return 0
        content = self._stream.read(min(len(buffer), self._left))
        if not content:
            self._refuse()
        buffer[: len(content)] = content
        self._left -= len(content)
        if not self._left and self._stream.readline(3) != b"\r\n":
            self._refuse()
        return len(content)

    def _begin_chunk(self) -> bool:
        """Whether there is another chunk; if not, the trailers are read, and ignored."""
        size = _CHUNK_SIZE.fullmatch(self._stream.readline(_LONGEST_LINE))
        if size is None:
            self._refuse()
        self._left = int(size[1], 16)
        if self._left:
            return True
        trailers = iter(lambda: self._stream.readline(_LONGEST_LINE), b"\r\n")
        for number, line in enumerate(trailers):
            if number == _MOST_TRAILERS or not line.endswith(b"\r\n"):
                self._refuse()
        self._state = "ended"
        return False

    def _refuse(self) -> Never:
        self._state = "malformed"
        raise _MalformedBodyError("Malformed chunk")


class _Body(LimitedStream):
    """A body of known length, which is read in one piece rather than by 64 KiB."""

    def readall(self) -> bytes:
        content: bytes = self._stream.read(self.limit - self._pos)
        self._pos += len(content)
        if not self.is_exhausted:
            self.on_disconnect()
        return content

    def on_disconnect(self, error: Exception | None = None) -> Never:
        raise _MalformedBodyError("The body is shorter than Content-Length") from error


class KeepAliveHandler(RequestHandler):
    """Serves WSGI requests, any number on one connection."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # an answer to a malformed request has a head as well
    disable_nagle_algorithm = True
    # For idle connections of clients that vanished.
    timeout = 900

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuses an invalid HTTP request, which reaches no service, in JSON.

        What the message quotes of the request may be anything.
        """
        del explain
        message = message or HTTPStatus(code).phrase
        self.log_error("code %d, message %s", code, message)
        self.close_connection = True
        body = json.dumps({"message": message}).encode()
        self.send_response(code)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

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
        """Limits the body to its length, and keeps forms, which name the action.

        A request that says twice where it ends is refused: two readers could read two requests.
        """
        lengths = self.headers.get_all("Content-Length", [])
        encodings = self.headers.get_all("Transfer-Encoding", [])
        if len(lengths) + len(encodings) > 1:
            raise _MalformedBodyError("More than one Content-Length or Transfer-Encoding")
        body: io.RawIOBase
        if encodings:
            if encodings[0].strip().lower() != "chunked":
                raise _MalformedBodyError("Invalid Transfer-Encoding")
            body = _Chunks(cast(IO[bytes], self.rfile))
        else:
            length = lengths[0].strip(" \t") if lengths else "0"
            if not _LENGTH.fullmatch(length):
                raise _MalformedBodyError("Invalid Content-Length")
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
