"""What the tests of the Lambda runtime and of API Gateway share."""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from local_aws.server import LocalAws
from tests.support.access import allow_invocations

ECHO = "import json\ndef handler(e, c): return {'statusCode': 200, 'body': json.dumps(e)}"
ROLE = "arn:aws:iam::123456789012:role/function"


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A zip file of these contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def create_function(aws: LocalAws, name: str, source: str, **options: Any) -> str:
    """Creates a function of one module, replacing one of an earlier test; returns its ARN."""
    request = {
        "FunctionName": name,
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "handler.handler",
        "Timeout": 20,
        "Code": {"ZipFile": zipped({"handler.py": source})},
        **options,
    }
    client = aws.context.client("lambda")
    with suppress(client.exceptions.ResourceNotFoundException):
        client.delete_function(FunctionName=name)
    arn: str = client.create_function(**request)["FunctionArn"]
    for service in ("apigateway.amazonaws.com", "events.amazonaws.com"):
        allow_invocations(aws.context, name, service)
    return arn


class Caller:
    """An HTTP client of one API that keeps its connection open, as SDKs do."""

    def __init__(self, aws: LocalAws, base: str) -> None:
        self.host = aws.endpoint_url.removeprefix("http://")
        self.base = base
        self.connection = http.client.HTTPConnection(self.host, timeout=30)

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers (lower case) and body, decoded if it is JSON."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        self.connection.request(method, f"{self.base}{path}", data, dict(headers or {}))
        response = self.connection.getresponse()
        content = response.read()
        with suppress(ValueError):
            content = json.loads(content)
        return response.status, {k.lower(): v for k, v in response.getheaders()}, content


class Api:
    """A REST API, built by the calls that CloudFormation makes."""

    def __init__(self, aws: LocalAws, name: str, **options: Any) -> None:
        self.aws = aws
        self.client = aws.context.client("apigateway")
        api = self.client.create_rest_api(name=name, **options)
        self.id = api["id"]
        self.resources = {"/": api["rootResourceId"]}

    def resource(self, path: str) -> str:
        """The id of a resource, which is created with its parents if needed."""
        if path not in self.resources:
            above, _, part = path.rpartition("/")
            created = self.client.create_resource(
                restApiId=self.id, parentId=self.resource(above or "/"), pathPart=part
            )
            self.resources[path] = created["id"]
        return self.resources[path]

    def method(
        self,
        verb: str,
        path: str,
        function_arn: str | None,
        integration: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Adds a method that is integrated with a function or as `integration` says."""
        where = {"restApiId": self.id, "resourceId": self.resource(path), "httpMethod": verb}
        self.client.put_method(**where, **{"authorizationType": "NONE", **options})
        proxy = {
            "type": "AWS_PROXY",
            "integrationHttpMethod": "POST",
            "uri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
            f"{function_arn}/invocations",
        }
        self.client.put_integration(
            **where, **{**(proxy if function_arn else {}), **(integration or {})}
        )

    def deploy(self, stage: str = "test") -> Caller:
        """Deploys the API to a stage, which is created if needed; returns a client."""
        deployment = self.client.create_deployment(restApiId=self.id)["id"]
        try:
            self.client.create_stage(restApiId=self.id, stageName=stage, deploymentId=deployment)
        except self.client.exceptions.ConflictException:
            self.patch_stage(("/deploymentId", deployment), stage=stage)
        return Caller(self.aws, f"/execute-api/{self.id}/{stage}")

    def patch_stage(self, *changes: tuple[str, str], stage: str = "test") -> None:
        """Replaces settings of the stage, given by path and value."""
        self.client.update_stage(
            restApiId=self.id,
            stageName=stage,
            patchOperations=[{"op": "replace", "path": p, "value": v} for p, v in changes],
        )
