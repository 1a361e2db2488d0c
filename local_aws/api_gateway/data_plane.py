"""`/execute-api/<api id>/<stage>/<path>`: answers requests to deployed APIs."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from local_aws import moto_adapter
from local_aws.api_gateway import signature
from local_aws.api_gateway.deployment import Deployment
from local_aws.api_gateway.gateway_responses import GatewayError, render
from local_aws.api_gateway.integrations import LambdaProxy, Reply, answer_mock
from local_aws.api_gateway.request import ApiRequest, read_request
from local_aws.api_gateway.usage_plans import UsageLimits
from local_aws.context import Context
from local_aws.lambda_runtime import LambdaRuntime
from local_aws.moto_adapter import DeployedStage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)
_VARIABLE = re.compile(r"\$context\.[A-Za-z0-9_.]*[A-Za-z0-9_]")


class RestApis:
    """All deployed REST APIs as one WSGI application.

    Args:
        runtime: Runs the Lambda functions that methods are integrated with.
    """

    def __init__(self, context: Context, runtime: LambdaRuntime) -> None:
        self._lambda = LambdaProxy(runtime)
        self._limits = UsageLimits()
        self._access_log = AccessLog(context.state_dir / "logs" / "api_gateway")
        self._deployments: dict[tuple[str, str], tuple[object, Deployment]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Does nothing: no process or thread has to end."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        request = read_request(environ)
        stage = moto_adapter.find_deployed_stage(request.api_id, request.stage)
        status, headers, body = self._answer(environ, request, stage)
        if stage is not None:
            self._access_log.write(request, stage, status, len(body))
        headers += [
            ("x-amzn-RequestId", request.request_id),
            ("x-amz-apigw-id", request.extended_id),
            ("X-Amzn-Trace-Id", request.trace_id),
        ]
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Unknown"
        start_response(f"{status} {phrase}", headers)
        return [body]

    def _answer(
        self, environ: WSGIEnvironment, request: ApiRequest, stage: DeployedStage | None
    ) -> Reply:
        responses: dict[str, dict[str, object]] = {}
        try:
            if stage is None:
                # As AWS answers for an unknown stage; it has no host for an unknown API.
                raise GatewayError("ACCESS_DENIED", error_type="ForbiddenException")
            deployment = self._deployment(stage)
            responses = deployment.gateway_responses
            request.context["accountId"] = stage.account_id
            return self._run(environ, request, stage, deployment)
        except GatewayError as error:
            status, headers, body = render(error, request.context, responses)
            if error.response_type.status >= 500:
                reason = request.context.get("integration.error", "")
                logger.warning("%s %s: %s %s", request.method, request.path, error, reason)
            return status, list(headers.items()), body

    def _run(
        self,
        environ: WSGIEnvironment,
        request: ApiRequest,
        stage: DeployedStage,
        deployment: Deployment,
    ) -> Reply:
        route, request.path_parameters = deployment.find(request.method, request.path)
        request.context |= {
            "resourceId": route.resource_id,
            "resourcePath": route.resource_path,
            "deploymentId": stage.deployment_id,
        }
        request.read_body(environ)
        authorization = route.method.get("authorizationType") or "NONE"
        if authorization == "AWS_IAM":
            signature.verify(request, stage.region)
        elif authorization != "NONE":
            raise GatewayError("API_CONFIGURATION_ERROR")
        if route.method.get("apiKeyRequired"):
            self._limits.check_key(request, stage)
        self._limits.check_stage(stage, route)
        match route.integration.get("type"):
            case "AWS_PROXY":
                return self._lambda.call(request, route)
            case "MOCK":
                return answer_mock(request, route)
            case kind:
                request.context["integration.error"] = (
                    f"the local AWS has no integrations of type {kind}"
                )
                raise GatewayError("API_CONFIGURATION_ERROR")

    def _deployment(self, stage: DeployedStage) -> Deployment:
        key = (stage.api_id, stage.deployment_id)
        with self._lock:
            snapshot, deployment = self._deployments.get(key, (None, None))
            if deployment is None or snapshot is not stage.snapshot:
                deployment = Deployment(stage.snapshot)
                self._deployments[key] = (stage.snapshot, deployment)
            return deployment


class AccessLog:
    """Writes one line per request to the stage's log group and to `<api>-<stage>.log`.

    Args:
        folder: Holds these files; created if needed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()

    def write(self, request: ApiRequest, stage: DeployedStage, status: int, length: int) -> None:
        """Logs an answered request, if the stage has a format."""
        layout = stage.access_log.get("format")
        if not layout:
            return
        now = time.time()
        request.context |= {
            "status": str(status),
            "responseLength": str(length),
            "responseLatency": str(int((now - request.started) * 1000)),
        }
        if request.integration_started is not None:
            elapsed = int((time.monotonic() - request.integration_started) * 1000)
            request.context["integrationLatency"] = str(elapsed)
            request.context["integration.latency"] = str(elapsed)
        line = _VARIABLE.sub(
            lambda match: request.context.get(match[0].removeprefix("$context."), "-"), layout
        ).strip()
        with self._lock, (self._folder / f"{stage.api_id}-{stage.name}.log").open("a") as file:
            file.write(f"{line}\n")
        destination = stage.access_log.get("destinationArn", "")
        if ":log-group:" in destination:
            group = destination.split(":log-group:")[1].removesuffix(":*")
            stream = f"{stage.api_id}_{stage.name}"
            moto_adapter.put_log_lines(stage.region, group, stream, [(int(now * 1000), line)])
