"""API Gateway: deployed APIs, and changes that moto cannot apply."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.apigateway.models import Authorizer, RestAPI, apigateway_backends
from moto.apigateway.models import UsagePlan as MotoUsagePlan
from moto.core.models import DEFAULT_ACCOUNT_ID

from local_aws.moto_adapter.patching import replace


@dataclass(frozen=True)
class DeployedStage:
    """A stage, and the API as it was when the stage's deployment was created.

    Attributes:
        snapshot: {"resources": [{"id", "path", "methods": {verb: method}}], "gatewayResponses":
            {type: response}, "authorizers": {id: authorizer}, "apiKeySource", "policy"}; the inner
            dictionaries are those of the control plane's API.
        private: Whether the API is reached through VPC endpoints alone, and
        vpc_endpoints: by the ids of those that have a name for it.
        method_settings: By "<path>/<verb>" or "*/*".
        access_log: {"destinationArn", "format"} or {}.
    """

    api_id: str
    region: str
    account_id: str
    name: str
    deployment_id: str
    snapshot: dict[str, Any]
    method_settings: dict[str, Any]
    access_log: dict[str, str]
    private: bool = False
    vpc_endpoints: tuple[str, ...] = ()


def find_deployed_stage(api_id: str, stage_name: str) -> DeployedStage | None:
    """A stage of a REST API in any region, if it exists."""
    for region, backend in list(apigateway_backends[DEFAULT_ACCOUNT_ID].items()):
        api: Any = backend.apis.get(api_id)
        stage: Any = api.stages.get(stage_name) if api else None
        deployment: Any = api.deployments.get(stage.deployment_id) if stage else None
        if deployment is not None:
            endpoint = api.endpoint_configuration
            return DeployedStage(
                api_id=api_id,
                region=region,
                account_id=DEFAULT_ACCOUNT_ID,
                name=stage_name,
                deployment_id=deployment.id,
                snapshot=deployment.snapshot,
                method_settings=stage.method_settings,
                access_log=stage.access_log_settings or {},
                private=endpoint.get("types") == ["PRIVATE"],
                vpc_endpoints=tuple(endpoint.get("vpcEndpointIds") or ()),
            )
    return None


def find_api_log_role(region: str) -> str | None:
    """The role with which API Gateway writes logs, if the account has one in this region."""
    return apigateway_backends[DEFAULT_ACCOUNT_ID][region].account.cloudwatch_role_arn


def usage_plans_of_key(
    region: str, value: str
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The API key of this value, if there is one, and the usage plans it belongs to."""
    backend = apigateway_backends[DEFAULT_ACCOUNT_ID][region]
    key = next((key for key in list(backend.keys.values()) if key.value == value), None)
    if key is None:
        return None, []
    plans = [
        plan.to_json()
        for plan_id, plan in list(backend.usage_plans.items())
        if key.id in backend.usage_plan_keys.get(plan_id, {})
    ]
    return key.to_json(), plans


def _take_snapshot(original: Callable[..., Any]) -> Any:
    def create(self: Any, *args: Any, **kwargs: Any) -> Any:
        deployment = original(self, *args, **kwargs)
        content = {
            "resources": [
                {
                    "id": resource.id,
                    "path": resource.get_path(),
                    "methods": {
                        verb: method.to_json() for verb, method in resource.resource_methods.items()
                    },
                }
                for resource in self.resources.values()
            ],
            "gatewayResponses": {
                name: response.to_json() for name, response in self.gateway_responses.items()
            },
            "authorizers": {found.id: found.to_json() for found in self.authorizers.values()},
            "apiKeySource": self.api_key_source,
            # Changes of the policy, too, take another deployment.
            "policy": self.policy,
        }
        deployment.snapshot = copy.deepcopy(content)
        return deployment

    return create


def _keep_validation_expression(original: Callable[..., Any]) -> Any:
    def create(self: Any, *args: Any, **kwargs: Any) -> Any:
        # moto loses it by a typing error.
        expression = kwargs.get("identiy_validation_expression")
        original(self, *args, **{**kwargs, "identity_validation_expression": expression})

    return create


def _patch_limits(original: Callable[..., Any]) -> Any:
    def apply(self: Any, changes: list[dict[str, Any]]) -> None:
        # moto fails on rates with a fraction and on stages with limits, knows none of methods, and
        # keeps a quota's numbers as text.
        types = {"rateLimit": float, "burstLimit": int, "limit": int, "offset": int}
        for change in changes:
            parts = [part.replace("~1", "/") for part in change["path"].split("/")[1:]]
            match change["op"], parts:
                case "replace", ["throttle" | "quota" as kind, name] if name in types:
                    getattr(self, kind)[name] = types[name](change["value"])
                case "replace", ["apiStages", stage, "throttle", path, verb, name]:
                    limits = _stage_of_plan(self, stage).setdefault("throttle", {})
                    method = limits.setdefault(f"{path}/{verb}", {})
                    method[name] = types[name](change["value"])
                case "remove", ["apiStages", stage, "throttle", path, verb]:
                    _stage_of_plan(self, stage).get("throttle", {}).pop(f"{path}/{verb}", None)
                case "remove", ["apiStages"]:
                    self.api_stages.remove(_stage_of_plan(self, change["value"]))
                case _:
                    original(self, [change])

    return apply


def _patch_endpoints(original: Callable[..., Any]) -> Any:
    def apply(self: Any, changes: list[dict[str, Any]]) -> None:
        # moto knows one change of endpoints, that of the type.
        for change in changes:
            if change["path"] == "/endpointConfiguration/vpcEndpointIds":
                known = set(self.endpoint_configuration.get("vpcEndpointIds") or ())
                ids = (
                    known | {change["value"]}
                    if change["op"] == "add"
                    else known - {change["value"]}
                )
                self.endpoint_configuration["vpcEndpointIds"] = sorted(ids)
            else:
                original(self, [change])

    return apply


def _stage_of_plan(plan: Any, name: str) -> dict[str, Any]:
    """The part of a usage plan for "<api id>:<stage>"."""
    found: dict[str, Any] = next(
        stage for stage in plan.api_stages if f"{stage['apiId']}:{stage['stage']}" == name
    )
    return found


replace(Authorizer, "__init__", _keep_validation_expression)
replace(RestAPI, "create_deployment", _take_snapshot)
replace(RestAPI, "apply_patch_operations", _patch_endpoints)
replace(MotoUsagePlan, "apply_patch_operations", _patch_limits)
