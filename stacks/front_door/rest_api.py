"""The REST API: what may be called, by whom, how often, and what every refusal looks like.

Its resources and methods are those of docs/openapi.json, which the functions' routes generate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from contract.names import API_STAGE, APP_NAME
from stacks.common.policies import acknowledge
from stacks.common.stage_stack import StageStack
from stacks.front_door.authorizer import make_authorizer
from stacks.front_door.console import console_limits
from stacks.front_door.cors import add_preflight, refusal_headers
from stacks.front_door.integration import integrate
from stacks.front_door.resource_policy import resource_policy
from stage.settings import Settings

_DOCUMENT = Path(__file__).parents[2] / "docs/openapi.json"

_BATCH = "/batch"
_NOT_COGNITO = "Callers are programs with an API key, a signature, or any issuer's token."
_FILTERED = ("403", "forbidden", "A rule of the API's firewall refuses this request.")
_NO_SUCH_PATH = ("404", "not_found", "There is no such path or method.")

# API Gateway's own refusals: type -> status, code, sentence. None passes on the gateway's own
# sentence about the request.
_REFUSALS: dict[str, tuple[str | None, str, str | None]] = {
    "DEFAULT_4XX": (None, "invalid_request", None),
    "DEFAULT_5XX": (None, "internal_error", "The request could not be answered. Try again."),
    "ACCESS_DENIED": ("403", "forbidden", "These credentials may not call this API."),
    "API_CONFIGURATION_ERROR": ("500", "internal_error", "The API is misconfigured."),
    "AUTHORIZER_CONFIGURATION_ERROR": ("500", "internal_error", "The API is misconfigured."),
    "AUTHORIZER_FAILURE": (
        "500",
        "internal_error",
        "Who calls could not be checked. Try again in a moment.",
    ),
    "EXPIRED_TOKEN": ("403", "forbidden", "The credentials have expired."),
    "INTEGRATION_FAILURE": (
        "502",
        "internal_error",
        "The request could not be answered. Try again.",
    ),
    "INTEGRATION_TIMEOUT": ("504", "time_out", "There was no answer within 29 seconds."),
    "INVALID_API_KEY": ("403", "forbidden", "This API key is not valid."),
    "INVALID_SIGNATURE": ("403", "forbidden", "The request's signature does not match."),
    "QUOTA_EXCEEDED": ("429", "throttled", "The API key's quota is used up."),
    "REQUEST_TOO_LARGE": (
        "413",
        "payload_too_large",
        "The body exceeds 10 MB. Send fewer texts at a time, or use batch transform: POST /batch.",
    ),
    "RESOURCE_NOT_FOUND": ("404", "not_found", "There is no such path."),
    "THROTTLED": ("429", "throttled", "Too many requests. Wait a moment and try again."),
    "UNSUPPORTED_MEDIA_TYPE": ("415", "unsupported_media_type", "Send application/json."),
}


# API Gateway says "missing authentication token" for an unknown path or method. Where requests are
# signed, the same answer also means an unsigned request.
_REFUSALS_BY_AUTH = {
    "api_key": {
        "MISSING_AUTHENTICATION_TOKEN": _NO_SUCH_PATH,
        "UNAUTHORIZED": (
            "401",
            "unauthorized",
            "Send an API key in the header x-api-key, or as bearer token.",
        ),
    },
    "jwt": {
        "ACCESS_DENIED": ("403", "forbidden", "This token may not call this API."),
        "MISSING_AUTHENTICATION_TOKEN": _NO_SUCH_PATH,
        "UNAUTHORIZED": (
            "401",
            "unauthorized",
            "Send a valid token in the header Authorization: Bearer ...",
        ),
    },
    "iam": {
        "MISSING_AUTHENTICATION_TOKEN": (
            "403",
            "forbidden",
            "Sign the request (SigV4), or check its path and method.",
        ),
        "UNAUTHORIZED": ("401", "unauthorized", "The request is not authorised."),
    },
}


class RestApi(Construct):
    """A REST API over two functions, regional or private; every method asks who calls.

    Attributes:
        url: base URL, with the stage.
        key_ids: of the API keys, by name, the newest last; empty with another `api.auth`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        front_door: lambda_.IFunction,
        batch: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self._by_key = settings.api.auth == "api_key"
        network = StageStack.containing(self).network
        self._endpoint_id = network.api_endpoint_id if network else None
        access_logs = StageStack.log_group(self, "AccessLogs")
        self.api = apigateway.RestApi(
            self,
            "Resource",
            rest_api_name=settings.names.prefix,
            description="Embeds texts and finds the nearest answers",
            **self._endpoint(),
            policy=resource_policy(
                settings,
                [(verb, path) for path, verb, _ in self._operations()],
                account=cdk.Stack.of(self).account,
                endpoint_id=self._endpoint_id,
            ),
            cloud_watch_role=False,
            api_key_source_type=apigateway.ApiKeySourceType.AUTHORIZER if self._by_key else None,
            deploy_options=self._stage(access_logs),
        )
        self._require_modern_tls()
        self._authorizer = make_authorizer(self, settings)
        if self._authorizer:
            deployment, function = self.api.latest_deployment, self._authorizer.node.scope
            assert deployment is not None and function is not None
            # With its permission, without which a stage could ask nobody who calls.
            deployment.node.add_dependency(function)
        self._log_role()
        self._gateway_responses()
        self._methods({"front_door": front_door, "batch": batch})
        self.url = self.api.url
        self.key_ids = self._api_keys() if self._by_key else {}
        self._acknowledge_findings()

    def _endpoint(self) -> dict[str, Any]:
        """Whether the API has a public address, or answers a VPC endpoint alone."""
        if self._endpoint_id is None:
            return {"endpoint_types": [apigateway.EndpointType.REGIONAL]}
        endpoint = ec2.InterfaceVpcEndpoint.from_interface_vpc_endpoint_attributes(
            self, "Endpoint", vpc_endpoint_id=self._endpoint_id, port=443
        )
        return {
            "endpoint_configuration": apigateway.EndpointConfiguration(
                types=[apigateway.EndpointType.PRIVATE], vpc_endpoints=[endpoint]
            )
        }

    def _stage(self, access_logs: logs.ILogGroup) -> apigateway.StageOptions:
        field = apigateway.AccessLogField
        api = self._settings.api
        logging: dict[str, Any] = {
            "logging_level": apigateway.MethodLoggingLevel.ERROR,
            "data_trace_enabled": False,  # it would log the callers' texts
            "metrics_enabled": True,
        }
        return apigateway.StageOptions(
            stage_name=API_STAGE,
            throttling_rate_limit=api.rate_limit,
            throttling_burst_limit=api.burst_limit,
            method_options={
                # With keys, the usage plan limits each of them instead.
                **({} if self._by_key else self._batch_limits(**logging)),
                **(console_limits(**logging) if api.console else {}),
            },
            **logging,
            tracing_enabled=True,
            access_log_destination=apigateway.LogGroupLogDestination(access_logs),
            access_log_format=apigateway.AccessLogFormat.custom(
                json.dumps(
                    {
                        "request_id": field.context_request_id(),
                        "xray_trace_id": field.context_xray_trace_id(),
                        "time": field.context_request_time(),
                        "method": field.context_http_method(),
                        "path": field.context_resource_path(),
                        "status": field.context_status(),
                        "latency_ms": field.context_response_latency(),
                        "integration_latency_ms": field.context_integration_latency(),
                        "bytes": field.context_response_length(),
                        "source_ip": field.context_identity_source_ip(),
                        "api_key_id": field.context_identity_api_key_id(),
                        "caller": field.context_authorizer_principal_id()
                        if self._settings.api.auth == "jwt"
                        else field.context_identity_user_arn(),
                        "error": field.context_error_response_type(),
                    }
                )
            ),
        )

    def _batch_limits(self, **others: Any) -> dict[str, apigateway.MethodDeploymentOptions]:
        """How often batches may be asked for; `others` as of console_limits."""
        batch = self._settings.batch
        options = apigateway.MethodDeploymentOptions(
            throttling_rate_limit=batch.rate_limit,
            throttling_burst_limit=batch.burst_limit,
            **others,
        )
        return {f"{_BATCH}/POST": options}

    def _require_modern_tls(self) -> None:
        """Refuses TLS below 1.2, and key exchange without forward secrecy.

        Without a policy, a regional API accepts TLS 1.0.
        """
        resource = self.api.node.default_child
        assert isinstance(resource, apigateway.CfnRestApi)
        resource.security_policy = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
        # STRICT would also refuse clients that name another host in TLS than in HTTP; AWS has
        # existing APIs go through BASIC first.
        resource.endpoint_access_mode = "BASIC"

    def _log_role(self) -> None:
        """API Gateway writes logs with one role for the whole account and region.

        It is set here, once, and kept when the stack is deleted: other APIs may use it by then.
        """
        role = iam.Role(
            self,
            "LogRole",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name(
                    "service-role/AmazonAPIGatewayPushToCloudWatchLogs"
                )
            ],
        )
        account = apigateway.CfnAccount(self, "Account", cloud_watch_role_arn=role.role_arn)
        for kept in (role, account):
            kept.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        self.api.deployment_stage.node.add_dependency(account)
        acknowledge(
            role,
            {
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
                "AmazonAPIGatewayPushToCloudWatchLogs]": "The role serves every API of the"
                " account; AWS keeps its own policy for it up to date."
            },
        )

    def _gateway_responses(self) -> None:
        refusals = dict(_REFUSALS)
        refusals |= _REFUSALS_BY_AUTH[self._settings.api.auth]
        if self._settings.api.waf is not None:
            refusals["WAF_FILTERED"] = _FILTERED
        deployment = self.api.latest_deployment
        assert deployment is not None
        headers = {
            f"gatewayresponse.header.{name}": f"'{value}'"
            for name, value in refusal_headers(self._settings.api.cors_origins).items()
        }
        for kind, (status, code, sentence) in refusals.items():
            message = json.dumps(sentence) if sentence else "$context.error.messageString"
            template = (
                f'{{"code": "{code}", "message": {message}, "request_id": "$context.requestId"}}'
            )
            response = apigateway.CfnGatewayResponse(
                self,
                f"Refusal-{kind}",
                rest_api_id=self.api.rest_api_id,
                response_type=kind,
                status_code=status,
                response_templates={"application/json": template},
                response_parameters=headers or None,
            )
            # A stage shows what its deployment copied, so a changed refusal needs a new deployment.
            deployment.node.add_dependency(response)
            deployment.add_to_logical_id([kind, status, template, *([headers] if headers else [])])

    def _operations(self) -> Iterator[tuple[str, str, str]]:
        """Path, verb and `x-function` of the operations of docs/openapi.json.

        Those that name some ways to authorise in `x-auth` exist with these alone.
        """
        document = json.loads(_DOCUMENT.read_text(encoding="utf-8"))
        auth = self._settings.api.auth
        for path, operations in document["paths"].items():
            for verb, operation in operations.items():
                if auth in operation.get("x-auth", (auth,)):
                    yield path, verb.upper(), operation["x-function"]

    def _methods(self, functions: Mapping[str, lambda_.IFunction]) -> None:
        """Makes the operations, each for the function that it names."""
        integrations = {
            name: integrate(self, f"Permission-{name}", api=self.api, function=function)
            for name, function in functions.items()
        }
        by_path: dict[str, dict[str, str]] = {}
        for path, verb, function in self._operations():
            by_path.setdefault(path, {})[verb] = function
        for path, functions_of in by_path.items():
            resource = self.api.root.resource_for_path(path)
            for verb, function in functions_of.items():
                method = self._method(verb, resource, integrations[function])
                if (verb, path) == ("POST", _BATCH):
                    self._batch_method = method
            if self._settings.api.cors_origins:
                add_preflight(resource, [*functions_of], self._settings.api.cors_origins)

    def _method(
        self, verb: str, resource: apigateway.IResource, integration: apigateway.Integration
    ) -> apigateway.Method:
        method = resource.add_method(
            verb,
            integration,
            api_key_required=self._by_key,
            authorizer=self._authorizer,
            authorization_type=apigateway.AuthorizationType.CUSTOM
            if self._authorizer
            else apigateway.AuthorizationType.IAM,
        )
        acknowledge(method, {"AwsSolutions-COG4": _NOT_COGNITO})
        return method

    def _api_keys(self) -> dict[str, str]:
        """Keys whose values API Gateway generates, so that no template contains them."""
        limits, batch = self._settings.api, self._settings.batch
        plan = self.api.add_usage_plan(
            "UsagePlan",
            throttle=apigateway.ThrottleSettings(
                rate_limit=limits.key_rate_limit or limits.rate_limit,
                burst_limit=limits.key_burst_limit or limits.burst_limit,
            ),
            quota=apigateway.QuotaSettings(
                limit=limits.key_quota, period=apigateway.Period[limits.key_quota_period.upper()]
            )
            if limits.key_quota
            else None,
        )
        plan.add_api_stage(
            stage=self.api.deployment_stage,
            throttle=[
                apigateway.ThrottlingPerMethod(
                    method=self._batch_method,
                    throttle=apigateway.ThrottleSettings(
                        rate_limit=batch.rate_limit, burst_limit=batch.burst_limit
                    ),
                )
            ],
        )
        return {name: self._api_key(name, plan) for name in self._settings.api.api_keys}

    def _api_key(self, name: str, plan: apigateway.IUsagePlan) -> str:
        """One key of the plan. All ids come from its name, so that the other keys stay the same."""
        # Not the API's own add_api_key: keys that named the stage would come after the function
        # that is given their ids. The plan names the stage.
        key = apigateway.ApiKey(self.api, f"Key-{name}", description=f"{APP_NAME}, {name}")
        # The plan's own add_api_key gives its first key a different kind of id: once that one is
        # removed, the next would be created again, under an id that is still taken.
        apigateway.CfnUsagePlanKey(
            self,
            f"PlanKey-{name}",
            key_id=key.key_id,
            key_type="API_KEY",
            usage_plan_id=plan.usage_plan_id,
        )
        return key.key_id

    def _acknowledge_findings(self) -> None:
        acknowledge(
            self.api,
            {"AwsSolutions-APIG2": "pydantic in the functions is the one authority on bodies."},
        )
        if self._settings.api.waf is None:
            acknowledge(
                self.api.deployment_stage,
                {
                    "AwsSolutions-APIG3": "Every request carries a key, a signature or a token and"
                    " is throttled; a web ACL is the account owner's to choose and to pay for"
                    " (api.waf)."
                },
            )
