"""An S3 on localhost for signed URLs, and the API's answers about a batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ID = "0f0e0d0c-0b0a-4908-8706-050403020100"
OUTPUT = f"s3://bucket/output/{ID}"


@dataclass
class FakeS3:
    """Objects by key. `failures` are (status, body) to answer with first, in turn.

    `breaks` is after how many bytes of each answer the connection breaks off, once for each entry.
    """

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    failures: list[tuple[int, bytes]] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def signed(self, key: str) -> str:
        return f"{self.url}/{key}?X-Amz-Signature=abc"


@contextmanager
def running_s3() -> Iterator[FakeS3]:
    """A FakeS3 that listens until the `with` block ends."""
    s3 = FakeS3()

    class Handler(BaseHTTPRequestHandler):
        def note(self) -> str:
            key, _, query = self.path[1:].partition("?")
            assert query == "X-Amz-Signature=abc"
            headers = {name.lower(): value for name, value in self.headers.items()}
            s3.asked.append((self.command, key, headers))
            return key

        def do_PUT(self) -> None:
            key = self.note()
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if s3.failures:
                self.send(*s3.failures.pop(0))
                return
            s3.objects[key] = content
            self.send(200, b"")

        def do_GET(self) -> None:
            key = self.note()
            if s3.failures:
                self.send(*s3.failures.pop(0))
                return
            begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
            self.send(206 if begin else 200, s3.objects[key][begin:])

        def send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: s3.breaks.pop(0)] if s3.breaks else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    s3.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def report(**changes: Any) -> dict[str, Any]:
    """A report as the API gives it."""
    return {
        "batch_id": ID,
        "status": "completed",
        "input": {"s3_uri": "s3://bucket/input/a", "version_id": "v", "bytes": 9, "lines": 4},
        "records": {"accepted": 2, "rejected": 1, "blank": 1, "embedded": 2, "failed": 0},
        "rejects": [f"{OUTPUT}/rejects/00000.jsonl"],
        "output": [f"{OUTPUT}/00000.jsonl.out", f"{OUTPUT}/00001.jsonl.out"],
        "merged": None,
        "deployment": None,
        "transform_job": None,
        "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:05:00Z",
        "seconds": 300,
        "cost_estimate": {
            "currency": "USD",
            "amount": 0.0198,
            "instance_hours": 0.0833,
            "price_per_hour": 0.238,
            "prices_as_of": "2025-11-01",
        },
        **changes,
    }


def ended(s3: FakeS3, **changes: Any) -> dict[str, Any]:
    """The API's answer about a batch that has ended."""
    made = report(**changes)
    uris = [uri for uri in (made["merged"], *made["output"], *made["rejects"]) if uri]
    downloads = [{"s3_uri": u, "url": s3.signed(u.removeprefix("s3://bucket/"))} for u in uris]
    return state(made["status"]) | {"report": made, "downloads": downloads}


def state(status: str) -> dict[str, Any]:
    """The API's answer about a batch that has not ended."""
    return {"batch_id": ID, "status": status, "request_id": "r"}
