"""The front door's function, and the plainest Lambda function in its place.

Imported inside the tasks where importing is what is timed. `<...>_warm` answer one event, with a
stand-in for SageMaker on localhost (AWS_ENDPOINT_URL) that answers at once.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Tasks = dict[str, Callable[[], Any]]
QUESTION = {"queries": ["Is R supported with Amazon SageMaker?"], "top_k": 3}
EVENT = {
    "resource": "/search",
    "path": "/search",
    "httpMethod": "POST",
    "headers": {"Content-Type": "application/json"},
    "multiValueHeaders": {"Content-Type": ["application/json"]},
    "queryStringParameters": None,
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "requestContext": {"requestId": "request-1", "stage": "v1", "path": "/search"},
    "body": json.dumps(QUESTION),
    "isBase64Encoded": False,
}


class Context:
    """Lambda's context."""

    function_name = "front-door"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:front-door"
    aws_request_id = "lambda-request"

    def get_remaining_time_in_millis(self) -> int:
        """As in an API's function when it begins."""
        return 28_000


def front_door_import() -> Tasks:
    """Importing the handler, which makes its clients."""
    return {"import": lambda: importlib.import_module("front_door.handler") and None}


def usual_import() -> Tasks:
    """boto3 with a client, Powertools with its REST resolver, pydantic: as functions usually do."""

    def load() -> None:
        import boto3  # noqa: PLC0415
        import pydantic  # noqa: F401, PLC0415
        from aws_lambda_powertools import Logger, Metrics  # noqa: F401, PLC0415
        from aws_lambda_powertools.event_handler import (  # noqa: PLC0415
            APIGatewayRestResolver,  # noqa: F401
        )

        boto3.client("sagemaker-runtime")

    return {"import": load}


def front_door_warm() -> Tasks:
    """An event answered by the deployed function's handler."""
    handler = importlib.import_module("front_door.handler").handler
    _quiet()

    def answer() -> None:
        _check(handler(EVENT, Context()))

    return {"search": answer}


def front_door_cold() -> Tasks:
    """The import and the first event."""

    def answer() -> None:
        handler = importlib.import_module("front_door.handler").handler
        _quiet()
        _check(handler(EVENT, Context()))

    return {"first": answer}


def front_door_restored() -> Tasks:
    """The first event in a process forked from one that imported the handler for a snapshot."""
    from snapshot_restore_py import (  # noqa: PLC0415
        get_after_restore,
        get_before_snapshot,
    )

    handler = importlib.import_module("front_door.handler").handler
    _quiet()
    for hook, arguments, named in get_before_snapshot():
        hook(*arguments, **named)

    def answer() -> None:
        if child := os.fork():
            if os.waitpid(child, 0)[1]:
                raise RuntimeError("the forked process failed")
            return
        status = 1
        try:
            for hook, arguments, named in get_after_restore():
                hook(*arguments, **named)
            _check(handler(EVENT, Context()))
            status = 0
        finally:
            os._exit(status)

    return {"first": answer}


def plain_boto3_warm() -> Tasks:
    """The least that could be there: parse, invoke, answer; nothing checked, logged or counted."""
    import boto3  # noqa: PLC0415

    client = boto3.client("sagemaker-runtime")

    def handler(event: dict[str, Any], _: object) -> dict[str, Any]:
        question = json.loads(event["body"])
        found = client.invoke_endpoint(
            EndpointName="faq",
            ContentType="application/json",
            Body=json.dumps({**question, "mode": "search"}),
        )["Body"].read()
        body = json.dumps(json.loads(found))
        return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}

    return {"search": lambda: _check(handler(EVENT, None))}


def round_trip() -> Tasks:
    """The same question over a bare connection: what the stand-in itself takes."""
    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    connection = HTTPConnection(parts.hostname or "", parts.port)

    def ask() -> None:
        connection.request("POST", "/endpoints/faq/invocations", json.dumps(QUESTION))
        connection.getresponse().read()

    return {"search": ask}


def _check(answer: dict[str, Any]) -> None:
    if answer["statusCode"] != 200:
        raise RuntimeError(answer["body"])


def _quiet() -> None:
    """The log goes where it costs least; Lambda's goes to a pipe."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


HITS = [
    {"id": str(n), "question": "Is R supported?", "answer": "Yes. " * 40, "score": 0.9 - n / 10}
    for n in range(3)
]


def stand_in() -> Tasks:
    """A SageMaker runtime and SSM on localhost; its task returns the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"bake_id": "bake-1", "results": [HITS]}).encode()
            head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            self.wfile.write(f"{head}{len(body)}\r\n\r\n".encode() + body)

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return {"port": lambda: {"port": server.server_address[1]}}
