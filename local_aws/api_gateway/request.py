"""One request to a deployed API, and its context in API Gateway's words."""

from __future__ import annotations

import base64
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from local_aws.api_gateway.gateway_responses import GatewayError
from local_aws.iam.signature import target_of
from local_aws.lambda_runtime.runtime import new_trace_id
from local_aws.moto_adapter import DeployedStage

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_BODY = 10 * 1024 * 1024  # bytes; fixed by AWS


@dataclass
class ApiRequest:
    """A request as it was sent.

    Attributes:
        vpc_endpoint: The one that the request came through; "" if it came through none.
        url_path: Path with "/execute-api/<api>/<stage>", percent-encoded as sent.
        path: Path below the stage, percent-encoded as sent; starts with "/".
        query_string: As sent, without "?".
        headers: By name in title case; several values are joined by a comma.
        context: The `$context` variables known so far, e.g. "identity.sourceIp".
        integration_started: Monotonic time in s; None if no integration was called.
    """

    api_id: str
    stage: str
    method: str
    url_path: str
    path: str
    query_string: str
    headers: dict[str, str]
    source_ip: str
    protocol: str
    body: bytes = b""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    extended_id: str = field(
        default_factory=lambda: base64.b64encode(uuid.uuid4().bytes[:11]).decode()
    )
    started: float = field(default_factory=time.time)
    path_parameters: dict[str, str] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)
    integration_started: float | None = None
    vpc_endpoint: str = ""

    def __post_init__(self) -> None:
        when = datetime.fromtimestamp(self.started, UTC)
        self.trace_id = self.headers.get("X-Amzn-Trace-Id") or new_trace_id()
        self.context |= {
            "accountId": "",
            "apiId": self.api_id,
            "stage": self.stage,
            "httpMethod": self.method,
            "path": f"/{self.stage}{self.path}",
            "protocol": self.protocol,
            "requestId": self.request_id,
            "extendedRequestId": self.extended_id,
            "requestTime": when.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": str(int(self.started * 1000)),
            "domainName": self.headers.get("Host", ""),
            "domainPrefix": self.api_id,
            "identity.sourceIp": self.source_ip,
            "identity.userAgent": self.headers.get("User-Agent", ""),
            "xrayTraceId": self.trace_id,
        }
        self.context = {key: value for key, value in self.context.items() if value}

    @property
    def media_type(self) -> str:
        """Content type without parameters, in lower case; JSON by default."""
        value = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return value or "application/json"

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded parameters in order."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    def read_body(self, environ: WSGIEnvironment) -> None:
        """Reads the body.

        Raises:
            GatewayError: REQUEST_TOO_LARGE. The server discards the unread rest.
        """
        if int(environ.get("CONTENT_LENGTH") or 0) > MAX_BODY:
            raise GatewayError("REQUEST_TOO_LARGE")
        stream = environ["wsgi.input"]
        parts: list[bytes] = []
        size = 0
        while part := stream.read(1 << 20):
            parts.append(part)
            size += len(part)
            if size > MAX_BODY:
                raise GatewayError("REQUEST_TOO_LARGE")
        self.body = b"".join(parts)


def read_request(environ: WSGIEnvironment) -> ApiRequest:
    """The request of a WSGI environment, without its body.

    The path is "/execute-api/<api id>/<stage>/...", or, as in the names that AWS gives a private
    API, "/execute-api/<api id>-<VPC endpoint's id>/<stage>/...".
    """
    url_path, query_string = target_of(environ)
    _, _, api_id, stage, *rest = [*url_path.split("/", 4), "", ""][:5]
    api_id, _, vpc_endpoint = api_id.partition("-")
    headers = {_title(key[5:]): value for key, value in environ.items() if key.startswith("HTTP_")}
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            headers[_title(key)] = environ[key]
    return ApiRequest(
        api_id=api_id,
        stage=unquote(stage),
        method=environ["REQUEST_METHOD"],
        url_path=url_path,
        path="/" + rest[0] if rest else "/",
        query_string=query_string,
        headers=headers,
        source_ip=environ.get("REMOTE_ADDR", ""),
        protocol=environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
        vpc_endpoint=vpc_endpoint,
    )


def execute_api_arn(stage: DeployedStage, method: str, path: str) -> str:
    """The ARN of a method of a deployed API."""
    return (
        f"arn:aws:execute-api:{stage.region}:{stage.account_id}:{stage.api_id}/{stage.name}/"
        f"{method}{path}"
    )


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.replace("_", "-").split("-"))


def event_identity(context: dict[str, str]) -> dict[str, Any]:
    """`requestContext.identity` of a Lambda function's event."""
    names = (
        "accessKey accountId caller cognitoAuthenticationProvider cognitoAuthenticationType "
        "cognitoIdentityId cognitoIdentityPoolId principalOrgId sourceIp user userAgent userArn"
    )
    identity: dict[str, Any] = {name: context.get(f"identity.{name}") for name in names.split()}
    for name in ("apiKey", "apiKeyId"):
        if f"identity.{name}" in context:
            identity[name] = context[f"identity.{name}"]
    return identity
