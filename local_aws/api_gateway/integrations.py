"""Integrations: AWS_PROXY, where a Lambda function gets an event in format 1.0, and MOCK."""

from __future__ import annotations

import json
import re
import time
from http import HTTPStatus
from typing import Any, TypeAlias

import airspeed

from local_aws.api_gateway.deployment import Route
from local_aws.api_gateway.gateway_responses import GatewayError
from local_aws.api_gateway.request import ApiRequest, event_identity, execute_api_arn
from local_aws.iam.access import Access, AccessDeniedError
from local_aws.lambda_runtime import InvocationAbandonedError, LambdaRuntime
from local_aws.moto_adapter import DeployedStage
from local_aws.service_errors import ApiError

Reply: TypeAlias = tuple[int, list[tuple[str, str]], bytes]

_FUNCTION = re.compile(r"/functions/(?P<arn>arn:[^/]+)/invocations")
_ANSWER = {
    "statusCode": (int, str, type(None)),
    "headers": (dict, type(None)),
    "multiValueHeaders": (dict, type(None)),
    "body": (str, type(None)),
    "isBase64Encoded": (bool, type(None)),
}
_CONTEXT = (
    "accountId apiId deploymentId domainName domainPrefix extendedRequestId httpMethod path "
    "protocol requestId requestTime resourceId resourcePath stage"
)
# API Gateway renames these headers of a function's answer.
_REMAPPED = {"authorization", "connection", "date", "server", "www-authenticate"}
_DROPPED = {"content-length", "transfer-encoding", "x-amzn-requestid", "x-amz-apigw-id"}
_STATUS = re.compile(r"""["']?statusCode["']?\s*:\s*["']?(\d{3})""")
_HEADER = "method.response.header."
_OVERRIDE = re.compile(r"\$context\.responseOverride\.header\.[\w-]+")


class LambdaProxy:
    """Calls Lambda functions for methods that are integrated with AWS_PROXY."""

    def __init__(self, access: Access, runtime: LambdaRuntime) -> None:
        self._access = access
        self._runtime = runtime

    def call(self, request: ApiRequest, stage: DeployedStage, route: Route) -> Reply:
        """The function's answer.

        Raises:
            GatewayError: It failed, took too long, or its answer is malformed.
        """
        function = function_arn(route.integration.get("uri") or "")
        self._check_permission(function, request, stage, route)
        event = build_event(request, route)
        seconds = int(route.integration.get("timeoutInMillis") or 29_000) / 1000
        request.integration_started = time.monotonic()
        try:
            result = self._runtime.invoke(
                function,
                json.dumps(event, ensure_ascii=False).encode(),
                wait_seconds=seconds,
                trace_id=request.trace_id,
            )
        except InvocationAbandonedError as error:
            raise GatewayError("INTEGRATION_TIMEOUT") from error
        except ApiError as error:
            if error.status == 413:
                # The event is limited to Lambda's 6 MB (status unverified).
                raise GatewayError("REQUEST_TOO_LARGE") from error
            request.context["integration.error"] = str(error)
            raise GatewayError("API_CONFIGURATION_ERROR") from error
        if result.error:
            request.context["integration.error"] = result.payload.decode("utf-8", "replace")
            raise GatewayError("INTEGRATION_FAILURE")
        return _read_answer(request, result.payload)

    def _check_permission(
        self, function: str, request: ApiRequest, stage: DeployedStage, route: Route
    ) -> None:
        """The function's own policy has to let the method invoke it."""
        source = execute_api_arn(stage, request.method, route.resource_path)
        service = self._access.service("apigateway.amazonaws.com", source)
        try:
            self._access.require(
                service, "lambda:InvokeFunction", function, call=f"{request.method} of an API"
            )
        except AccessDeniedError as error:
            request.context["integration.error"] = str(error)
            raise GatewayError("API_CONFIGURATION_ERROR") from error


def build_event(request: ApiRequest, route: Route) -> dict[str, Any]:
    """The event in format 1.0, with every key that AWS sends."""
    headers = {
        **request.headers,
        "X-Amzn-Trace-Id": request.trace_id,
        "X-Forwarded-For": request.source_ip,
        "X-Forwarded-Port": request.headers.get("Host", "").partition(":")[2] or "80",
        "X-Forwarded-Proto": "http",
    }
    query: dict[str, list[str]] = {}
    for key, value in request.query:
        query.setdefault(key, []).append(value)
    return {
        "resource": route.resource_path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {key: values[-1] for key, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": request.path_parameters or None,
        "stageVariables": None,
        "requestContext": {
            **{name: request.context.get(name, "") for name in _CONTEXT.split()},
            "requestTimeEpoch": int(request.started * 1000),
            "identity": event_identity(request.context),
            **_authorizer(request.context),
        },
        "body": request.body.decode("utf-8", "replace") if request.body else None,
        "isBase64Encoded": False,
    }


def _authorizer(context: dict[str, str]) -> dict[str, Any]:
    """What an authorizer has said of the caller."""
    prefix = "authorizer."
    found = {k.removeprefix(prefix): v for k, v in context.items() if k.startswith(prefix)}
    return {"authorizer": found} if found else {}


def function_arn(uri: str) -> str:
    """The function that the URI of an integration or an authorizer names."""
    match = _FUNCTION.search(uri)
    if match is None:
        raise GatewayError("API_CONFIGURATION_ERROR")
    return match["arn"]


def _read_answer(request: ApiRequest, payload: bytes) -> Reply:
    answer = json.loads(payload or b"null")
    if not isinstance(answer, dict) or any(
        key not in _ANSWER or not isinstance(value, _ANSWER[key]) for key, value in answer.items()
    ):
        raise _malformed(request, payload)
    try:
        # AWS may treat an answer without a status as 200 (unverified); here it is malformed.
        status = int(answer["statusCode"])
        HTTPStatus(status)
        body = (answer.get("body") or "").encode()
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(request, payload) from error
    return status, _headers(answer), body


def _malformed(request: ApiRequest, payload: bytes) -> GatewayError:
    request.context["integration.error"] = (
        f"Malformed Lambda proxy response: {payload[:200].decode('utf-8', 'replace')}"
    )
    return GatewayError("INTEGRATION_FAILURE")


def _headers(answer: dict[str, Any]) -> list[tuple[str, str]]:
    merged: dict[str, tuple[str, list[str]]] = {}
    for name, value in (answer.get("headers") or {}).items():
        merged[name.lower()] = (name, [_header_value(value)])
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        merged[name.lower()] = (name, [_header_value(value) for value in values])
    headers = []
    for lower, (name, values) in merged.items():
        if lower not in _DROPPED:
            shown = f"x-amzn-Remapped-{name}" if lower in _REMAPPED else name
            headers += [(shown, value) for value in values]
    if "content-type" not in merged:
        headers.append(("Content-Type", "application/json"))
    return headers


def _header_value(value: object) -> str:
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    return text.replace("\r", " ").replace("\n", " ")


def answer_mock(request: ApiRequest, route: Route) -> Reply:
    """The MOCK integration, as far as CORS preflight requests need it.

    The request template's `statusCode` selects the integration response. Headers have the literal
    values ('...') of that response, or what its template sets in `$context.responseOverride`.
    Templates know that and `$input.params(name)`.

    Raises:
        GatewayError: No integration response has that status.
    """
    templates: dict[str, str] = route.integration.get("requestTemplates") or {}
    match = _STATUS.search(templates.get(request.media_type, ""))
    status = match[1] if match else "200"
    responses: dict[str, Any] = route.integration.get("integrationResponses") or {}
    response = next(
        (
            r
            for r in responses.values()
            if r.get("selectionPattern") and re.fullmatch(r["selectionPattern"], status)
        ),
        None,
    ) or next((r for r in responses.values() if not r.get("selectionPattern")), None)
    if response is None:
        raise GatewayError("API_CONFIGURATION_ERROR")
    headers = [
        (target.removeprefix(_HEADER), value.strip("'"))
        for target, value in (response.get("responseParameters") or {}).items()
        if target.startswith(_HEADER)
    ]
    bodies: dict[str, str] = response.get("responseTemplates") or {}
    media_type, template = next(iter(bodies.items()), ("application/json", ""))
    overrides: dict[str, Any] = {"header": {}}
    names = {"input": _Input(request), "context": {"responseOverride": overrides}}
    # airspeed takes no dashes in names.
    read = _OVERRIDE.sub(lambda match: match[0].replace("-", "_"), template or "")
    body = airspeed.Template(read).merge(names)
    overridden = {name.replace("_", "-"): value for name, value in overrides["header"].items()}
    headers = [(name, value) for name, value in headers if name not in overridden]
    headers += [("Content-Type", media_type), *overridden.items()]
    return int(response["statusCode"]), headers, body.encode()


class _Input:
    """`$input` of a mapping template."""

    def __init__(self, request: ApiRequest) -> None:
        self._found = {**request.headers, **dict(request.query), **request.path_parameters}

    def params(self, name: str) -> str:
        """A parameter of the path, the query string or the headers; the first that has it."""
        return self._found.get(name, "")
