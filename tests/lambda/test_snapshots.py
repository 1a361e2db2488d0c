"""What a function imports may be restored hours later, many times: nothing in it has aged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contract.batch_objects import report_key
from tests.support.front_door import DEPLOYMENT, ENVIRONMENT, event
from tests.support.http import Handler, serving
from tests.support.synthesis import ROOT

BATCH = "0b0e5c5e-33c1-4c2e-9f0a-0d3a2ce0f2b1"
BATCH_ENVIRONMENT = {
    "BATCH_BUCKET": "batches",
    "STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:batch",
    "TRANSFORM_JOB_PREFIX": "faq-search-local",
    "INPUT_LOCATIONS": "[]",
    "INSTANCE_COUNT": "1",
    "MAX_INSTANCE_COUNT": "1",
    "MAX_INSTANCES": "1",
    "MAX_INSTANCES_PER_CALLER": "1",
    "MAX_RUNNING": "1",
    "MAX_RUNNING_PER_CALLER": "1",
    "API_AUTH": "api_key",
    "API_KEYS": '{"boss": "key1"}',
    "CALLERS": "[]",
    "ADMINISTRATORS": '["boss"]',
}
LOOK = {
    **event(f"/batch/{BATCH}", method="GET"),
    "requestContext": {"requestId": "request-1", "identity": {"apiKeyId": "key1"}},
    "resource": "/batch/{batch_id}",
    "pathParameters": {"batch_id": BATCH},
}


class Aws:
    """Services on localhost, which record who asks them, and Lambda's source of credentials.

    Attributes:
        key: id of the access key that it gives out now.
        given: how often it has given out a key.
        asked: for each request its path and the key that signed it.
    """

    def __init__(self) -> None:
        self.url = ""
        self.key = "SNAPSHOT"
        self.given = 0
        self.asked: list[tuple[str, str]] = []

    def credentials(self, token: str | None) -> bytes:
        assert token == f"token of {self.key}"
        self.given += 1
        return json.dumps(
            {
                "AccessKeyId": self.key,
                "SecretAccessKey": "secret",
                "Token": "token",
                "Expiration": "2099-01-01T00:00:00Z",
            }
        ).encode()

    def reply(self, path: str, body: bytes) -> bytes:
        if path == "/":
            value = "on" if b"serving" in body else json.dumps(DEPLOYMENT)
            return json.dumps({"Parameter": {"Value": value}}).encode()
        if path.startswith("/endpoints/"):
            return b'{"embedding": [[0.5]]}'
        assert path == f"/batches/{report_key(BATCH)}"
        return b'{"status": "failed"}'


@contextmanager
def services() -> Iterator[Aws]:
    aws = Aws()

    class Services(Handler):
        def respond(self) -> None:
            if self.path == "/credentials":
                self.answer(200, aws.credentials(self.headers["Authorization"]))
                return
            key = re.search(r"Credential=(\w+)/", self.headers.get("Authorization", ""))
            aws.asked.append((self.path, key[1] if key else "unsigned"))
            self.answer(200, aws.reply(self.path, self.body()))

    with serving(Services) as aws.url:
        yield aws


class Snapshot:
    """A function that was imported; see tests.support.restored."""

    def __init__(self, aws: Aws, handler: str, environment: dict[str, str]) -> None:
        kept = ("AWS_DEFAULT_REGION", "PATH", "SYSTEMROOT")
        self._aws = aws
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.restored", handler],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if name in kept},
                **environment,
                **self._credentials(),
                "PYTHONPATH": f"{ROOT}:{ROOT / 'lambda'}",
                "AWS_ENDPOINT_URL": aws.url,
                "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
                "AWS_REGION": "eu-west-1",
                "AWS_DEFAULT_REGION": "eu-west-1",
                "POWERTOOLS_LOG_LEVEL": "CRITICAL",
                "POWERTOOLS_METRICS_DISABLED": "true",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.holds = self._line()

    def restore(self, key: str, order: dict[str, Any]) -> Any:
        """The answer to an event of a restored function, with credentials of its own."""
        self._aws.key = key
        assert self._process.stdin
        print(
            json.dumps({"event": order, "environment": self._credentials()}),
            file=self._process.stdin,
            flush=True,
        )
        return self._line()

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _credentials(self) -> dict[str, str]:
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._aws.url}/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": f"token of {self._aws.key}",
        }

    def _line(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


@pytest.mark.parametrize(
    ("handler", "environment", "order", "requests"),
    [
        (
            "front_door.handler.handler",
            {k: v for k, v in ENVIRONMENT.items() if not k.startswith("AWS_")},
            event("/embed", {"texts": ["one"]}),
            ["/", "/endpoints/faq-c6i/invocations"],
        ),
        (
            "batch.api.handler.handler",
            BATCH_ENVIRONMENT,
            LOOK,
            [f"/batches/{report_key(BATCH)}"],
        ),
    ],
    ids=["front_door", "batch"],
)
def test_a_restored_function_has_its_own_credentials_parameters_and_connections(
    handler: str, environment: dict[str, str], order: dict[str, Any], requests: list[str]
) -> None:
    with services() as aws:
        snapshot = Snapshot(aws, handler, environment)
        try:
            assert snapshot.holds == {"sockets": [], "threads": 1}
            assert (aws.given, aws.asked) == (0, [])
            for key in ("FIRST", "SECOND"):
                assert snapshot.restore(key, order)["status"] == 200
                assert aws.asked == [(path, key) for path in requests]
                aws.asked.clear()
            assert aws.given == 2
        finally:
            snapshot.close()
