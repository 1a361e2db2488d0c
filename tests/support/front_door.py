"""What the front door's tests share: loading it, events for it, and an AWS to talk to."""

from __future__ import annotations

import importlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import pytest
from botocore.session import Session

from tests.support.http import Handler, serving
from tests.support.model_validator import check_request

DEPLOYMENT = {
    "bake_id": "bake-1",
    "model_id": "huggingface-sentencesimilarity-all-MiniLM-L6-v2",
    "model_version": "2.0.1",
    "dimension": 384,
    "corpus_sha256": "c0ffee",
}
ENDPOINTS = [
    {
        "instance_type": "ml.c6i.xlarge",
        "endpoint_name": "faq-c6i",
        "min_instances": 2,
        "max_instances": 8,
        "hourly_price": {"amount": 0.204, "currency": "USD", "as_of": "2026-11-20"},
    },
    {
        "instance_type": "ml.g5.2xlarge",
        "endpoint_name": "faq-g5",
        "min_instances": 1,
        "max_instances": 1,
        "hourly_price": None,
    },
]
INDEX_PARAMETER = "/faq-search/local/index"
ENVIRONMENT = {
    "APP_STAGE": "local",
    "ENDPOINTS": json.dumps(ENDPOINTS),
    "DEPLOYMENT_PARAMETER": "/faq-search/local/deployment",
    "SERVING_PARAMETER": "/faq-search/local/serving",
    "MIN_SCORE": "-1",
    "MARGIN": "0",
    "UNANSWERED_BELOW": "0.4",
    "LEXICAL": "true",
    "TIME_BUDGET_SECONDS": "26",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


def event(
    path: str = "/search",
    body: object = None,
    method: str = "POST",
    content_type: str | None = "application/json",
    base64: bool = False,
) -> dict[str, Any]:
    """An API Gateway proxy event; a `body` that is not a string is sent as JSON."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"requestId": "request-1", "stage": "v1", "path": path},
        "body": body if isinstance(body, str) or body is None else json.dumps(body),
        "isBase64Encoded": base64,
    }


@dataclass
class Context:
    """Lambda's context, with `remaining_ms` left."""

    remaining_ms: int = 28_000
    function_name: str = "front-door"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:front-door"
    aws_request_id: str = "lambda-request"

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@dataclass
class Reply:
    """How a service answers: HTTP status, body, error type, seconds of silence.

    drip: what comes byte by byte, ten in a second.
    """

    body: bytes = b"[]"
    status: int = 200
    error_type: str | None = None
    silent_seconds: float = 0.0
    drip: Literal["", "headers", "body"] = ""
    hang_up: bool = False

    @classmethod
    def error(cls, status: int, error_type: str, **members: object) -> Reply:
        """An AWS error in the JSON protocol's form."""
        return cls(json.dumps(members).encode(), status, error_type)


@dataclass
class FakeSsm:
    """SSM with what is deployed and the switch; a Reply takes the place of a value."""

    deployed: str | Reply = field(default_factory=lambda: json.dumps(DEPLOYMENT))
    serving: str | Reply = "on"
    index: str | Reply = ""
    reads: int = 0
    switch_reads: int = 0

    def reply(self, name: str) -> Reply:
        if name == ENVIRONMENT["SERVING_PARAMETER"]:
            self.switch_reads += 1
            value = self.serving
        elif name == INDEX_PARAMETER:
            value = self.index
        else:
            assert name == ENVIRONMENT["DEPLOYMENT_PARAMETER"]
            self.reads += 1
            value = self.deployed
        if isinstance(value, Reply):
            return value
        return Reply(json.dumps({"Parameter": {"Name": name, "Value": value}}).encode())


@dataclass
class FakeLogs:
    """CloudWatch Logs with one log group; a Reply takes the place of all answers.

    Attributes:
        lines: what was written, by stream.
    """

    lines: dict[str, list[str]] = field(default_factory=dict)
    instead: Reply | None = None
    requests: int = 0

    @staticmethod
    def refusal(code: str, message: str) -> Reply:
        """An error as this service words it, with its code in the body."""
        return Reply(json.dumps({"__type": code, "message": message}).encode(), 400)

    def reply(self, request: dict[str, Any]) -> Reply:
        self.requests += 1
        if self.instead:
            return self.instead
        stream = request["logStreamName"]
        if "logEvents" not in request:
            self.lines[stream] = []
        elif stream not in self.lines:
            return self.refusal("ResourceNotFoundException", "No such log stream.")
        else:
            self.lines[stream] += [event["message"] for event in request["logEvents"]]
        return Reply(b"{}")


@dataclass
class FakeAws:
    """SageMaker's runtime, SSM and logs on localhost, so that botocore is part of the tests.

    Attributes:
        asked: each endpoint and its question, parsed.
        raw: the questions' bytes.
        invocations: parameters of each InvokeEndpoint.
        queries: parameters of each QueryVectors.
        found: what an index answers to one.
    """

    url: str = ""
    ssm: FakeSsm = field(default_factory=FakeSsm)
    logs: FakeLogs = field(default_factory=FakeLogs)
    replies: dict[str, list[Reply | Callable[[dict[str, Any]], Reply]]] = field(
        default_factory=dict
    )
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    invocations: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    queries: list[dict[str, Any]] = field(default_factory=list)
    found: Callable[[dict[str, Any]], Reply | dict[str, Any]] = lambda _: Reply.error(404, "x")

    def reply(self, endpoint: str, *replies: Reply | Callable[[dict[str, Any]], Reply]) -> None:
        """What `endpoint` answers, in turn; the last one stays."""
        self.replies[endpoint] = list(replies)

    def next_reply(self, path: str, body: bytes) -> Reply:
        question = json.loads(body)
        if "logGroupName" in question:
            return self.logs.reply(question)
        if path == "/QueryVectors":
            self.queries.append(question)
            reply = self.found(question)
            return reply if isinstance(reply, Reply) else Reply(json.dumps(reply).encode())
        if path == "/":
            return self.ssm.reply(question["Name"])
        endpoint = path.split("/")[2]
        self.raw.append(body)
        self.asked.append((endpoint, question))
        queue = self.replies[endpoint]
        reply = queue.pop(0) if len(queue) > 1 else queue[0]
        return reply(question) if callable(reply) else reply


@contextmanager
def running_aws() -> Iterator[FakeAws]:
    """A FakeAws that listens, at AWS_ENDPOINT_URL, until the `with` block ends.

    Every request must be one that AWS's model allows.
    """
    fake = FakeAws()
    violations: list[str] = []
    create_client = Session.create_client

    def create_checked(session: Session, service_name: str, **settings: Any) -> Any:
        client = create_client(session, service_name, **settings)

        def check(params: dict[str, Any], model: Any, **_: Any) -> None:
            violations.extend(check_request(service_name, model.name, params))
            if model.name == "InvokeEndpoint":
                fake.invocations.append(params)

        client.meta.events.register("provide-client-params.*.*", check)
        return client

    class AwsHandler(Handler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            fake.connections += 1
            super().setup()

        def respond(self) -> None:
            reply = fake.next_reply(self.path, self.body())
            time.sleep(reply.silent_seconds)
            if reply.hang_up:
                self.close_connection = True
                return
            kind = f"x-amzn-ErrorType: {reply.error_type}\r\n" if reply.error_type else ""
            head = f"HTTP/1.1 {reply.status} X\r\n{kind}Content-Length: {len(reply.body)}\r\n\r\n"
            self._send(head.encode(), slowly=reply.drip == "headers")
            self._send(reply.body, slowly=bool(reply.drip))

        def _send(self, content: bytes, *, slowly: bool) -> None:
            if not slowly:
                self.wfile.write(content)
                return
            for position in range(len(content)):
                self.wfile.write(content[position : position + 1])
                time.sleep(0.1)

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client that had waited long enough
                super().handle()

    with serving(AwsHandler) as fake.url, pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setattr(Session, "create_client", create_checked)
        patch.setenv("AWS_ENDPOINT_URL", fake.url)
        yield fake
    assert not violations, violations


@dataclass
class FrontDoor:
    """The loaded function and its AWS."""

    handler: ModuleType
    aws: FakeAws
    log: io.StringIO = field(default_factory=io.StringIO)

    def reset(self) -> FrontDoor:
        """As after a cold start, for the next test: nothing read, asked or logged."""
        self.aws.replies.clear()
        self.aws.asked.clear()
        self.aws.raw.clear()
        self.aws.invocations.clear()
        self.aws.queries.clear()
        self.aws.ssm = FakeSsm()
        self.aws.logs = FakeLogs()
        self.handler.app.connect(self.handler.environment, self.handler.aws)
        self.log = io.StringIO()
        self.handler.logger.registered_handler.setStream(self.log)
        return self

    def call(self, event: dict[str, Any], context: Context | None = None) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        answer = self.handler.handler(event, context or Context())
        assert answer["isBase64Encoded"] is False
        assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
        return answer["statusCode"], json.loads(answer["body"])


@contextmanager
def front_door(**environment: str) -> Iterator[FrontDoor]:
    """The function, loaded as by a cold start, before a FakeAws."""
    with running_aws() as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        sys.modules.pop("front_door.handler", None)
        yield FrontDoor(importlib.import_module("front_door.handler"), aws).reset()
