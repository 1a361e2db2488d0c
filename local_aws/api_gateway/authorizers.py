"""Lambda authorizers: functions that say who may call a method with authorization CUSTOM."""

from __future__ import annotations

import json
import re
from typing import Any

from local_aws.api_gateway.deployment import Deployment, Route
from local_aws.api_gateway.gateway_responses import GatewayError
from local_aws.api_gateway.integrations import build_event, function_arn
from local_aws.api_gateway.request import ApiRequest
from local_aws.api_gateway.resource_policy import Invocation
from local_aws.iam.access import Access, AccessDeniedError
from local_aws.iam.conditions import NotEvaluatedError
from local_aws.iam.policies import Policy
from local_aws.iam.principals import Principal
from local_aws.lambda_runtime import LambdaRuntime
from local_aws.moto_adapter import DeployedStage
from local_aws.service_errors import ApiError

_SERVICE = "apigateway.amazonaws.com"
_NO_IDENTITY = {"body", "isBase64Encoded"}


class Authorizers:
    """Asks the functions, at every request: results are not cached, whatever the time to live."""

    def __init__(self, access: Access, runtime: LambdaRuntime) -> None:
        self._access = access
        self._runtime = runtime

    def check(
        self,
        request: ApiRequest,
        stage: DeployedStage,
        deployment: Deployment,
        route: Route,
        invocation: Invocation,
    ) -> str:
        """Adds the authorizer's context to the request's, and returns its usageIdentifierKey.

        Raises:
            GatewayError: The caller is not known or not allowed, or the authorizer failed.
        """
        authorizer = deployment.authorizers.get(route.method.get("authorizerId") or "")
        if authorizer is None or authorizer["type"] not in {"TOKEN", "REQUEST"}:
            raise GatewayError("API_CONFIGURATION_ERROR")
        invocation.check_denials()
        event: dict[str, Any] = {"type": authorizer["type"], "methodArn": invocation.arn}
        identity = [
            _identity(source.strip(), request)
            for source in (authorizer.get("identitySource") or "").split(",")
            if source.strip()
        ]
        if not all(identity):
            raise GatewayError("UNAUTHORIZED")
        if authorizer["type"] == "TOKEN":
            pattern = authorizer.get("identityValidationExpression")
            if not identity or (pattern and not re.fullmatch(pattern, identity[0])):
                raise GatewayError("UNAUTHORIZED")
            event["authorizationToken"] = identity[0]
        else:
            full = build_event(request, route)
            event |= {key: value for key, value in full.items() if key not in _NO_IDENTITY}
        answer = self._ask(authorizer, event, request, stage)
        return self._admit(answer, invocation, request, stage)

    def _ask(
        self,
        authorizer: dict[str, Any],
        event: dict[str, Any],
        request: ApiRequest,
        stage: DeployedStage,
    ) -> Any:
        function = function_arn(authorizer.get("authorizerUri") or "")
        api = f"arn:aws:execute-api:{stage.region}:{stage.account_id}:{stage.api_id}"
        role = authorizer.get("authorizerCredentials")
        try:
            caller = (
                self._access.assume(role, _SERVICE, "authorizer")
                if role
                else self._access.service(_SERVICE, f"{api}/authorizers/{authorizer['id']}")
            )
            self._access.require(
                caller, "lambda:InvokeFunction", function, call="an API's authorizer"
            )
            result = self._runtime.invoke(
                function, json.dumps(event).encode(), trace_id=request.trace_id
            )
        except (AccessDeniedError, ApiError) as error:
            raise _failed("AUTHORIZER_CONFIGURATION_ERROR", request, str(error)) from error
        answer = json.loads(result.payload or b"null")
        if not result.error:
            return answer
        if isinstance(answer, dict) and answer.get("errorMessage") == "Unauthorized":
            raise GatewayError("UNAUTHORIZED")
        # AWS may call this a configuration error as well (unverified).
        raise _failed("AUTHORIZER_FAILURE", request, result.payload.decode("utf-8", "replace"))

    def _admit(
        self, answer: Any, invocation: Invocation, request: ApiRequest, stage: DeployedStage
    ) -> str:
        try:
            principal, document = answer["principalId"], answer["policyDocument"]
            context, key = answer.get("context") or {}, answer.get("usageIdentifierKey") or ""
            named = {name: _scalar(value) for name, value in context.items()}
            caller = Principal(str(principal), str(principal), stage.account_id)
            policy = Policy.parse("authorizer", json.dumps(document))
            decision = invocation.decide(caller, policy)
        except (TypeError, KeyError, ValueError, AttributeError, NotEvaluatedError) as error:
            reason = f"the authorizer's answer is malformed: {error!r}"
            raise _failed("AUTHORIZER_CONFIGURATION_ERROR", request, reason) from error
        request.context |= {
            "authorizer.principalId": str(principal),
            **{f"authorizer.{name}": value for name, value in named.items()},
        }
        if not decision.allowed:
            explicit = " with an explicit deny" if decision.by else ""
            raise GatewayError(
                "ACCESS_DENIED", f"User is not authorized to access this resource{explicit}"
            )
        return str(key)


def _identity(source: str, request: ApiRequest) -> str:
    """The value of an identity source; "" if the request has none."""
    kind, _, name = source.rpartition(".")
    match kind:
        case "method.request.header":
            wanted = name.lower()
            return next((v for n, v in request.headers.items() if n.lower() == wanted), "")
        case "method.request.querystring":
            return dict(request.query).get(name, "")
    return request.context.get(source.removeprefix("context."), "")


def _scalar(value: object) -> str:
    """A value of the authorizer's context, all of which become text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise TypeError(f"the context has a value of type {type(value).__name__}")


def _failed(name: str, request: ApiRequest, reason: str) -> GatewayError:
    request.context["authorizer.error"] = reason
    return GatewayError(name)
