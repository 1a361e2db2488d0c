"""The place at which CloudFormation waits for a custom resource's answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Answers:
    """Answers so far, and how the next requests are met.

    Attributes:
        url: a ResponseURL.
        received: each answer, parsed.
        sizes: each answer's bytes.
        content_types: each answer's header.
        refusals: status codes to answer with before anything is accepted.
    """

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.content_types: list[str | None] = []
        self.refusals: list[int] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = answers.refusals.pop(0) if answers.refusals else 200
                if status == 200:
                    answers.received.append(json.loads(body))
                    answers.sizes.append(len(body))
                    answers.content_types.append(self.headers["Content-Type"])
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/answer?signature=secret"

    @property
    def only(self) -> dict[str, Any]:
        """The one answer there is."""
        assert len(self.received) == 1, self.received
        return self.received[0]


@pytest.fixture
def answers() -> Iterator[Answers]:
    """Answers of one test."""
    collected = Answers()
    thread = threading.Thread(target=collected.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield collected
    collected.server.shutdown()
    collected.server.server_close()
    thread.join()
