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
from local_aws.api_gateway.authorizers import Authorizers
from local_aws.api_gateway.callers import Callers
from local_aws.api_gateway.deployment import Deployment
from local_aws.api_gateway.gateway_responses import GatewayError, render
from local_aws.api_gateway.integrations import LambdaProxy, Reply, answer_mock
from local_aws.api_gateway.request import ApiRequest, read_request
from local_aws.api_gateway.resource_policy import invocation
from local_aws.api_gateway.usage_plans import UsageLimits
from local_aws.context import Context
from local_aws.iam.access import Access, AccessDeniedError
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

    def __init__(self, context: Context, access: Access, runtime: LambdaRuntime) -> None:
        self._access = access
        self._callers = Callers(access)
        self._authorizers = Authorizers(access, runtime)
        self._lambda = LambdaProxy(access, runtime)
        self._limits = UsageLimits()
        self._access_log = AccessLog(access, context.state_dir / "logs" / "api_gateway")
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
                reason = request.context.get("integration.error") or request.context.get(
                    "authorizer.error", ""
                )
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
        self._check_way(request, stage)
        asked = invocation(self._access, request, stage)
        key = ""
        match route.method.get("authorizationType") or "NONE":
            case "AWS_IAM":
                self._callers.check(request, stage, asked, environ)
            case "CUSTOM":
                key = self._authorizers.check(request, stage, deployment, route, asked)
            case "NONE":
                asked.check_open()
            case _:
                raise GatewayError("API_CONFIGURATION_ERROR")
        if route.method.get("apiKeyRequired"):
            if deployment.api_key_source == "HEADER":
                key = request.headers.get("X-Api-Key", "")
            self._limits.check_key(request, stage, route, key)
        self._limits.check_stage(stage, route)
        match route.integration.get("type"):
            case "AWS_PROXY":
                return self._lambda.call(request, stage, route)
            case "MOCK":
                return answer_mock(request, route)
            case kind:
                request.context["integration.error"] = (
                    f"the local AWS has no integrations of type {kind}"
                )
                raise GatewayError("API_CONFIGURATION_ERROR")

    @staticmethod
    def _check_way(request: ApiRequest, stage: DeployedStage) -> None:
        """A VPC endpoint leads to private APIs only, and nothing else leads to them.

        Requests to a private API that name no endpoint count as having come through its first one.
        """
        if stage.private:
            request.vpc_endpoint = request.vpc_endpoint or next(iter(stage.vpc_endpoints), "")
        if stage.private != bool(request.vpc_endpoint):
            raise GatewayError("ACCESS_DENIED", error_type="ForbiddenException")

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

    def __init__(self, access: Access, folder: Path) -> None:
        self._access = access
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
            if self._may_write(stage, f"{destination.removesuffix(':*')}:log-stream:{stream}"):
                moto_adapter.put_log_lines(stage.region, group, stream, [(int(now * 1000), line)])

    def _may_write(self, stage: DeployedStage, arn: str) -> bool:
        """Whether the account's role for API Gateway's logs, if there is one, may write there."""
        role = moto_adapter.find_api_log_role(stage.region)
        if role is None:
            return True
        try:
            principal = self._access.assume(role, "apigateway.amazonaws.com", "logs")
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                self._access.require(principal, action, arn, call="API Gateway's access log")
        except AccessDeniedError as error:
            logger.warning("access log of %s: %s", stage.api_id, error)
            return False
        return True
