"""What the tests of the batch routes share: the loaded function and an AWS in memory."""

# ruff: noqa: N803 - the names are AWS's

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from tests.support.front_door import Context, event
from tests.support.lambda_functions import load_function

BUCKET = "batch-bucket"
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:faq-search-local-batch"
ENVIRONMENT = {
    "APP_STAGE": "local",
    "BATCH_BUCKET": BUCKET,
    "STATE_MACHINE_ARN": MACHINE,
    "TRANSFORM_JOB_PREFIX": "faq-search-local",
    "INPUT_LOCATIONS": '["s3://theirs/texts/"]',
    "INSTANCE_COUNT": "2",
    "MAX_INSTANCE_COUNT": "4",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


def failure(code: str, status: int = 400, message: str = "") -> ClientError:
    """An error as botocore raises it."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "Operation",
    )


@cache
def _signer() -> Any:
    return Session().create_client(
        "s3",
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(signature_version="s3v4"),
    )


@dataclass
class FakeAws:
    """The S3, Step Functions and SageMaker of one test; it stands in for its own clients.

    `broken` has errors to raise by operation. `before` has what happens at the moment of an
    operation, once: somebody else is quicker.
    """

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    called: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.s3 = self.stepfunctions = self.sagemaker = self
        self.generate_presigned_url = _signer().generate_presigned_url

    def put(self, key: str, content: Any, bucket: str = BUCKET) -> None:
        self.objects[bucket, key] = (
            content if isinstance(content, bytes) else json.dumps(content).encode()
        )

    def get(self, key: str) -> Any:
        return json.loads(self.objects[BUCKET, key])

    def _call(self, operation: str) -> None:
        self.called.append(operation)
        if operation in self.before:
            self.before.pop(operation)()
        if operation in self.broken:
            raise self.broken[operation]

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._call("get_object")
        if (Bucket, Key) not in self.objects:
            raise failure("NoSuchKey", 404)
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._call("head_object")
        if (Bucket, Key) not in self.objects:
            raise failure("404", 404)
        version = {"VersionId": "version-1"} if Bucket == BUCKET else {}
        return {"ContentLength": len(self.objects[Bucket, Key]), **version}

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        ContentType: str,
        IfNoneMatch: str | None = None,
    ) -> None:
        self._call("put_object")
        assert ContentType == "application/json"
        if IfNoneMatch == "*" and (Bucket, Key) in self.objects:
            raise failure("PreconditionFailed", 412)
        self.objects[Bucket, Key] = Body

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:
        self._call("start_execution")
        assert stateMachineArn == MACHINE
        if name in self.executions:
            raise failure("ExecutionAlreadyExists")
        self.executions[name] = {"status": "RUNNING", "input": json.loads(input)}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        self._call("describe_execution")
        machine, _, name = executionArn.rpartition(":")
        assert machine == MACHINE.replace("stateMachine", "execution")
        if name not in self.executions:
            raise failure("ExecutionDoesNotExist")
        return self.executions[name]

    def stop_execution(self, *, executionArn: str, error: str, cause: str) -> None:
        self._call("stop_execution")
        assert error and cause
        self.executions[executionArn.rpartition(":")[2]]["status"] = "ABORTED"

    def describe_transform_job(self, *, TransformJobName: str) -> dict[str, Any]:
        self._call("describe_transform_job")
        if TransformJobName not in self.jobs:
            raise failure("ValidationException", message="Could not find requested job")
        return {"TransformJobStatus": self.jobs[TransformJobName]}

    def stop_transform_job(self, *, TransformJobName: str) -> None:
        self._call("stop_transform_job")
        if self.jobs[TransformJobName] != "InProgress":
            raise failure("ValidationException", message="The job has ended")
        self.jobs[TransformJobName] = "Stopping"


def batch_event(path: str, method: str = "POST", body: object = None) -> dict[str, Any]:
    """An event of API Gateway, which has found the route and taken the path apart."""
    request = event(path, body, method)
    found = re.fullmatch(r"/batch/(.+)", path)
    if found:
        request["resource"] = "/batch/{batch_id}"
        request["pathParameters"] = {"batch_id": found[1]}
    return request


@dataclass
class BatchApi:
    """The loaded function before its AWS."""

    handler: ModuleType
    aws: FakeAws
    log: io.StringIO

    def call(self, path: str, method: str = "POST", body: object = None) -> tuple[int, Any]:
        """Status and JSON of the answer; headers are in `answer` afterwards."""
        request = batch_event(path, method, body)
        self.answer = self.handler.handler(request, Context())
        return self.answer["statusCode"], json.loads(self.answer["body"])

    def ask(self, **body: object) -> tuple[int, Any]:
        return self.call("/batch", body=body)

    def look(self, batch_id: str) -> tuple[int, Any]:
        return self.call(f"/batch/{batch_id}", "GET")

    def stop(self, batch_id: str) -> tuple[int, Any]:
        return self.call(f"/batch/{batch_id}", "DELETE")


@contextmanager
def loaded_function() -> Iterator[ModuleType]:
    """The function's handler, as after a cold start."""
    with pytest.MonkeyPatch.context() as patch:
        yield load_function("batch.api.handler", patch, **ENVIRONMENT)


def batch_api(handler: ModuleType) -> BatchApi:
    """The function with a fresh AWS and an empty log."""
    aws = FakeAws()
    handler.app.connect(handler.app.environment, aws)
    log = io.StringIO()
    handler.logger.registered_handler.setStream(log)
    return BatchApi(handler, aws, log)
