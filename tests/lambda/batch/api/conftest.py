"""The batch routes before an AWS in memory."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from batch.api import handler
from batch.api.aws import Aws
from contract.batch_objects import execution_arn
from tests.support.batch_scenarios import BUCKET, MACHINE, TEAM, BatchAws
from tests.support.front_door import Context, event
from tests.support.recorded_aws import REGION, take_over

ENVIRONMENT = {
    "BATCH_BUCKET": BUCKET,
    "STATE_MACHINE_ARN": MACHINE,
    "TRANSFORM_JOB_PREFIX": "faq-search-dev",
    "INPUT_LOCATIONS": '["s3://theirs/texts/"]',
    "INSTANCE_COUNT": "2",
    "MAX_INSTANCE_COUNT": "4",
    "MAX_INSTANCES": "12",
    "MAX_INSTANCES_PER_CALLER": "8",
    "MAX_RUNNING": "5",
    "MAX_RUNNING_PER_CALLER": "3",
    "API_AUTH": "api_key",
    "API_KEYS": '{"team": "key1", "team.2": "key2", "other": "key3", "boss": "key4"}',
    "CALLERS": "[]",
    "ADMINISTRATORS": '["boss"]',
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


@cache
def _clients() -> Aws:
    """The function's own clients, made once because that takes a while."""
    clients = Aws()
    for service_name in ("s3", "stepfunctions", "sagemaker"):
        take_over(getattr(clients, service_name), service_name)
    return clients


class BatchApi:
    """The function with an empty log.

    Attributes:
        aws: what it calls; transform jobs go on until a test ends them.
        answer: the last one, as Lambda returns it.
        context: who sends the requests, as API Gateway says it: the caller "team" at first.
    """

    def __init__(self, aws: BatchAws) -> None:
        self.aws = aws
        self.answer: dict[str, Any] = {}
        self.context: dict[str, Any] = {}
        self.use_key("key1")
        self.log = io.StringIO()
        handler.logger.registered_handler.setStream(self.log)

    def use_key(self, key_id: str) -> None:
        self.context = {"identity": {"apiKey": "secret", "apiKeyId": key_id}}

    def put(self, key: str, content: Any, bucket: str = BUCKET) -> None:
        self.aws.objects[bucket, key] = (
            content if isinstance(content, bytes) else json.dumps(content).encode()
        )

    def execution(self, batch_id: str) -> dict[str, Any]:
        """A batch's execution; made to run, for the caller "team", if it does not exist."""
        arn = execution_arn(MACHINE, batch_id)
        made = {"status": "RUNNING", "input": json.dumps({"owner": TEAM})}
        return self.aws.executions.setdefault(arn, made)

    def execution_input(self, batch_id: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.execution(batch_id)["input"])
        return document

    def call(self, path: str, method: str = "POST", body: object = None) -> tuple[int, Any]:
        """Status and JSON of the answer to an event whose path API Gateway has taken apart."""
        request = event(path, body, method)
        request["requestContext"] |= self.context
        if found := re.fullmatch(r"/batch/(.+)", path):
            request["resource"] = "/batch/{batch_id}"
            request["pathParameters"] = {"batch_id": found[1]}
        self.answer = handler.handler(request, Context())
        return self.answer["statusCode"], json.loads(self.answer["body"])

    def ask(self, **body: object) -> tuple[int, Any]:
        return self.call("/batch", body=body)

    def look(self, batch_id: str) -> tuple[int, Any]:
        return self.call(f"/batch/{batch_id}", "GET")

    def stop(self, batch_id: str) -> tuple[int, Any]:
        return self.call(f"/batch/{batch_id}", "DELETE")


@pytest.fixture
def api(batch_aws: BatchAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchApi]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "Aws", _clients)
    handler._connect.cache_clear()
    batch_aws.transform_outcome = {}
    yield BatchApi(batch_aws)
    handler._connect.cache_clear()
