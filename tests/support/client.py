"""For the client's tests: a small API on localhost, an S3 for signed URLs, and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.http import Handler, serving

ID = "0f0e0d0c-0b0a-4908-8706-050403020100"
OUTPUT = f"s3://bucket/output/{ID}"
SERVED = {"instance_type": "ml.c6i.xlarge", "failed_over_from": []}
DEPLOYED = {
    "endpoints": [{"instance_type": "ml.c6i.xlarge", "endpoint_name": "faq"}],
    "model": {"id": "minilm", "version": "2.0.1", "dimension": 384},
    "corpus": {"sha256": "c"},
    "bake_id": "b",
    "serving": "on",
    "request_id": "r",
}


@dataclass
class Asked:
    """A request as the API saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes


@dataclass
class FakeApi:
    """Answers in turn; the last answer stays. An answer is (status, JSON or bytes, headers)."""

    url: str = ""
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    hang_up_after: int | None = None

    def answer(self, status: int, body: Any, **headers: str) -> None:
        self.answers.append((status, body, {k.replace("_", "-"): v for k, v in headers.items()}))

    def transport(self) -> httpx.MockTransport:
        """Answers without a network."""
        return httpx.MockTransport(self._respond)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        raw = request.content
        headers = {name.lower(): value for name, value in request.headers.items()}
        parsed = json.loads(raw) if raw else None
        asked = Asked(request.method, request.url.path, headers, parsed, raw)
        status, body, more = self.next(asked)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content, headers=more)

    def next(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        self.asked.append(asked)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def running_api() -> Iterator[FakeApi]:
    """A FakeApi that listens until the `with` block ends."""
    api = FakeApi()

    class ApiHandler(Handler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            api.connections += 1
            super().setup()

        def respond(self) -> None:
            raw = self.body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            parsed = json.loads(raw) if raw else None
            status, body, more = api.next(Asked(self.command, self.path, headers, parsed, raw))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.answer(status, content, more)
            # Like a server that tires of an idle connection, without a word of warning.
            self.close_connection = len(api.asked) == api.hang_up_after

    with serving(ApiHandler) as url:
        api.url = f"{url}/execute-api/abc/v1"
        yield api


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

    class S3Handler(Handler):
        def respond(self) -> None:
            key, _, query = self.path[1:].partition("?")
            assert query == "X-Amz-Signature=abc"
            headers = {name.lower(): value for name, value in self.headers.items()}
            s3.asked.append((self.command, key, headers))
            content = self.body()
            if s3.failures:
                self.answer(*s3.failures.pop(0))
            elif self.command == "PUT":
                s3.objects[key] = content
                self.answer(200)
            else:
                begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
                content = s3.objects[key][begin:]
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: s3.breaks.pop(0)] if s3.breaks else content)

    with serving(S3Handler) as s3.url:
        yield s3


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
