"""AWS in memory behind real boto3 clients, which checks every request against its model.

The clients are botocore's own until they would send, so a wrong name or type fails as it would in
a deployment. Patterns, lengths and enumerations are checked as well, and what they do not allow
fails the test even if the code under test catches everything.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import boto3
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse

from tests.support.model_validator import check_request

ACCOUNT = "123456789012"
REGION = "eu-west-1"
WRITTEN_AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
"""When every object was written, according to GetObject."""
_make_client = boto3.client
# Made once, since that takes a while, and answered by the AWS of the test that runs.
_clients: dict[tuple[str, str], Any] = {}
_current: RecordedAws


class AwsError(Exception):
    """An error as a service answers it."""

    def __init__(self, code: str, message: str = "", status: int = 400, **members: Any) -> None:
        super().__init__(code)
        self.status = status
        self.document = {"Error": {"Code": code, "Message": message}, **members}


class RecordedAws:
    """The part of AWS that our functions use.

    Attributes:
        requests: every request so far, as (service, operation, parameters).
        violations: what AWS would have refused.
        broken: errors to raise, by operation; an operation stays broken until removed.
        before: by operation, what somebody quicker does just before it is answered, once.
        objects: bytes in S3, by (bucket, key).
        written_at: when PutObject wrote them, for lists.
        versions: the same, by (bucket, key, version id).
        jobs: training jobs by name, as DescribeTrainingJob describes them.
        outcome: what becomes of a running job once it is described, if anything.
        executions: by ARN, with input and status.
        stack_status: of the one stack.
        endpoints: by name, what answers a request (parsed JSON to answer).
        configurations: what DescribeEndpoint says of an endpoint, beside its name.
        parameters: values in SSM by name. parameters_changed_at: when they got those.
        functions: by ARN, what a Lambda function does with a payload.
    """

    def __init__(self) -> None:
        global _current  # noqa: PLW0603
        _current = self
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.violations: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self.objects: dict[tuple[str, str], bytes] = {}
        self.written_at: dict[tuple[str, str], datetime] = {}
        self.versions: dict[tuple[str, str, str], bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.outcome: dict[str, Any] = {}
        self.executions: dict[str, dict[str, Any]] = {}
        self.stack_status = "CREATE_IN_PROGRESS"
        self.endpoints: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.configurations: dict[str, dict[str, Any]] = {}
        self.parameters: dict[str, str] = {}
        self.parameters_changed_at = datetime.now(UTC)
        self.functions: dict[str, Callable[[dict[str, Any]], Any]] = {}

    def client(self, service_name: str, *, region_name: str = REGION, **_: Any) -> Any:
        """Stands in for boto3.client."""
        if (service_name, region_name) not in _clients:
            client = _make_client(
                service_name,
                region_name=region_name,
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
            take_over(client, service_name)
            _clients[service_name, region_name] = client
        return _clients[service_name, region_name]

    def called(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of each request of one operation."""
        return [parameters for _, name, parameters in self.requests if name == operation]

    def add_job(self, name: str, status: str, output: str, **members: Any) -> None:
        """A training job as if it had been created."""
        self.jobs[name] = {
            "TrainingJobName": name,
            "TrainingJobStatus": status,
            "OutputDataConfig": {"S3OutputPath": output},
            "ModelArtifacts": {"S3ModelArtifacts": f"{output}{name}/output/model.tar.gz"},
            "CreationTime": datetime.now(UTC),
            **members,
        }

    def respond(
        self, service_name: str, operation: str, request: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """What botocore would make of the service's answer."""
        self.requests.append((service_name, operation, request))
        self.violations.extend(check_request(service_name, operation, request))
        self.before.pop(operation, lambda: None)()
        meta = {"ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "r"}}
        try:
            if operation in self.broken:
                raise self.broken[operation]
            document = getattr(self, f"_{xform_name(operation)}")(request)
        except AwsError as error:
            meta["ResponseMetadata"]["HTTPStatusCode"] = error.status
            return AWSResponse("", error.status, {}, None), {**error.document, **meta}
        return AWSResponse("", 200, {}, None), {**(document or {}), **meta}

    def _get_object(self, request: dict[str, Any]) -> dict[str, Any]:
        content = self._content(request)
        etag = etag_of(content)
        if request.get("IfMatch", etag) != etag:
            raise AwsError("PreconditionFailed", "At least one of the pre-conditions ...", 412)
        wanted = ranged(content, request.get("Range"))
        return {
            "Body": io.BytesIO(wanted),
            "ContentLength": len(wanted),
            "ETag": etag,
            "LastModified": WRITTEN_AT,
        }

    def _content(self, request: dict[str, Any]) -> bytes:
        place = request["Bucket"], request["Key"]
        if "VersionId" in request:
            if (*place, request["VersionId"]) not in self.versions:
                raise AwsError("NoSuchVersion", "The specified version does not exist.", 404)
            return self.versions[*place, request["VersionId"]]
        if place not in self.objects:
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
        return self.objects[place]

    def _head_object(self, request: dict[str, Any]) -> dict[str, Any]:
        place = request["Bucket"], request["Key"]
        if place not in self.objects:
            raise AwsError("404", "Not Found", 404)
        return {"ContentLength": len(self.objects[place]), "ETag": "e"}

    def _copy_object(self, request: dict[str, Any]) -> dict[str, Any]:
        # botocore has written the source as a header: bucket/key?versionId=…
        bucket, _, key = request["CopySource"].partition("?")[0].partition("/")
        self.objects[request["Bucket"], request["Key"]] = self.objects[bucket, key]
        return {"CopyObjectResult": {"ETag": "e"}}

    def _put_object(self, request: dict[str, Any]) -> None:
        place = request["Bucket"], request["Key"]
        if request.get("IfNoneMatch") == "*" and place in self.objects:
            raise AwsError("PreconditionFailed", "At least one of the pre-conditions ...", 412)
        self.objects[place] = body_of(request)
        self.written_at[place] = datetime.now(UTC)

    def _delete_object(self, request: dict[str, Any]) -> None:
        self.objects.pop((request["Bucket"], request["Key"]), None)
        self.written_at.pop((request["Bucket"], request["Key"]), None)

    def _list_objects_v2(self, request: dict[str, Any]) -> dict[str, Any]:
        found = [
            {
                "Key": key,
                "Size": len(content),
                "LastModified": self.written_at.get((bucket, key), datetime.now(UTC)),
            }
            for (bucket, key), content in sorted(self.objects.items())
            if bucket == request["Bucket"] and key.startswith(request["Prefix"])
        ]
        return {"Contents": found, "IsTruncated": False} if found else {"IsTruncated": False}

    def _describe_stacks(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Stacks": [{"StackName": "x", "StackStatus": self.stack_status}]}

    def _job(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["TrainingJobName"] not in self.jobs:
            raise AwsError("ValidationException", "Requested resource not found.")
        return self.jobs[request["TrainingJobName"]]

    def _create_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TrainingJobName"]
        if name in self.jobs:
            raise AwsError("ResourceInUse", f"Training job {name} already exists")
        self.add_job(name, "InProgress", request["OutputDataConfig"]["S3OutputPath"])
        return {"TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name}"}

    def _describe_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._job(request)
        if job["TrainingJobStatus"] == "InProgress":
            job.update(self.outcome)
        return job

    def _stop_training_job(self, request: dict[str, Any]) -> None:
        job = self._job(request)
        if job["TrainingJobStatus"] != "InProgress":
            raise AwsError("ValidationException", "The request was rejected: the job has ended.")
        job["TrainingJobStatus"] = "Stopping"

    def _start_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        machine = request["stateMachineArn"].replace(":stateMachine:", ":execution:")
        arn = f"{machine}:{request['name']}"
        if arn in self.executions:
            raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        self.executions[arn] = {"input": request["input"], "status": "RUNNING"}
        return {"executionArn": arn, "startDate": datetime.now(UTC)}

    def _list_executions(self, request: dict[str, Any]) -> dict[str, Any]:
        found = [
            {"executionArn": arn, "name": arn.rpartition(":")[2]}
            for arn, execution in self.executions.items()
            if execution["status"] == request["statusFilter"]
            and arn.startswith(
                request["stateMachineArn"].replace(":stateMachine:", ":execution:") + ":"
            )
        ]
        return {"executions": found}

    def _describe_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["executionArn"] not in self.executions:
            raise AwsError("ExecutionDoesNotExist", "Execution Does Not Exist")
        return self.executions[request["executionArn"]]

    def _stop_execution(self, request: dict[str, Any]) -> None:
        self.executions[request["executionArn"]]["status"] = "ABORTED"

    def _get_parameter(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["Name"] not in self.parameters:
            raise AwsError("ParameterNotFound")
        value = self.parameters[request["Name"]]
        return {"Parameter": {"Value": value, "LastModifiedDate": self.parameters_changed_at}}

    def _put_parameter(self, request: dict[str, Any]) -> dict[str, Any]:
        self.parameters[request["Name"]] = request["Value"]
        return {"Version": 1}

    def _delete_parameter(self, request: dict[str, Any]) -> None:
        if self.parameters.pop(request["Name"], None) is None:
            raise AwsError("ParameterNotFound")

    def _describe_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        return {
            "EndpointName": name,
            "EndpointArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{name}",
            "EndpointStatus": "InService",
            "CreationTime": datetime.now(UTC),
            "LastModifiedTime": datetime.now(UTC),
            **self.configurations[name],
        }

    def _invoke_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        answered = self.endpoints[request["EndpointName"]](json.loads(request["Body"]))
        body = answered if isinstance(answered, bytes) else json.dumps(answered).encode()
        return {"Body": io.BytesIO(body), "ContentType": "application/json"}

    def _invoke(self, request: dict[str, Any]) -> dict[str, Any]:
        status = {}
        try:
            answer = self.functions[request["FunctionName"]](json.loads(request["Payload"]))
        except Exception as error:
            answer = {"errorMessage": str(error), "errorType": type(error).__name__}
            status = {"FunctionError": "Unhandled"}
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode()), **status}


def ranged(content: bytes, wanted: str | None) -> bytes:
    """The bytes that the header Range names."""
    if wanted is None:
        return content
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if int(first) >= len(content):
        raise AwsError("InvalidRange", "The requested range is not satisfiable", 416)
    return content[int(first) : int(last) + 1 if last else None]


def body_of(request: dict[str, Any]) -> bytes:
    """The bytes of a body, of which botocore may have made a stream."""
    body = request["Body"]
    content: bytes = body if isinstance(body, bytes) else body.read()
    return content


def etag_of(content: bytes) -> str:
    """As S3 makes it."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def take_over(client: Any, service_name: str) -> None:
    """Lets the AWS of the test that runs record, check and answer every request of a client."""
    latest = threading.local()  # several threads may use a client

    def keep(params: dict[str, Any], **_: Any) -> None:
        latest.parameters = params

    def respond(model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        # Only now: botocore's own handlers have had their turn at the parameters.
        return _current.respond(service_name, model.name, latest.parameters)

    client.meta.events.register_first("provide-client-params.*.*", keep)
    client.meta.events.register_first("before-call.*.*", respond)


Recorded = TypeVar("Recorded", bound=RecordedAws)


def installed(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """Gives boto3's clients this AWS, whose every request its model must allow."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(boto3, "client", recorded.client)
    yield recorded
    assert not recorded.violations, recorded.violations


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedAws]:
    """AWS for one test."""
    yield from installed(RecordedAws(), monkeypatch)
