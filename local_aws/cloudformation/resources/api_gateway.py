"""API Gateway: REST APIs in resource style, one resource type for each of their parts."""

from __future__ import annotations

from typing import Any

from local_aws.cloudformation.resources.base import (
    Declared,
    Properties,
    Provider,
    Request,
    ResourceError,
    Result,
)
from local_aws.cloudformation.resources.base import text as as_text

_SERVICE = "apigateway"
_METHOD_SETTINGS = {
    "ThrottlingRateLimit": "throttling/rateLimit",
    "ThrottlingBurstLimit": "throttling/burstLimit",
    "MetricsEnabled": "metrics/enabled",
    "LoggingLevel": "logging/loglevel",
    "DataTraceEnabled": "logging/dataTrace",
}


def _refuse(request: Request, *keys: str) -> None:
    for key in keys:
        if key in request.properties:
            raise ResourceError(f"The local AWS does not support {key}")


def _replace(path: str, value: Any) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": as_text(value)}


def _replacements(request: Request, paths: dict[str, str]) -> list[dict[str, str]]:
    """The patch operations for the properties in `paths`, including removed ones."""
    given = {**dict.fromkeys(request.old, ""), **request.properties}
    return [_replace(path, given[key]) for key, path in paths.items() if key in given]


class RestApi(Provider):
    """An API in resource style that carries text only."""

    tags = "list"

    def create(self, request: Request) -> Result:
        _refuse(request, "BinaryMediaTypes", "Body", "BodyS3Location")
        endpoint = {"Types": ["EDGE"], **request.properties.get("EndpointConfiguration", {})}
        properties = {**request.properties, "EndpointConfiguration": endpoint}
        if source := properties.get("ApiKeySourceType"):
            properties["ApiKeySource"] = source
        api = request.call(_SERVICE, "CreateRestApi", properties)["id"]
        found = request.client(_SERVICE).get_resources(restApiId=api, limit=500)
        root = next(item["id"] for item in found["items"] if item["path"] == "/")
        return Result(api, {"RestApiId": api, "RootResourceId": root})

    def update(self, request: Request) -> None:
        paths = {
            "Name": "/name",
            "Description": "/description",
            "ApiKeySourceType": "/apiKeySource",
            "DisableExecuteApiEndpoint": "/disableExecuteApiEndpoint",
            "Policy": "/policy",
        }
        patch = _replacements(request, paths)
        for change in patch:
            if change["path"] == "/apiKeySource":
                change["value"] = change["value"] or "HEADER"
        was, now = (
            {"Types": ["EDGE"], **found.get("EndpointConfiguration", {})}
            for found in (request.old, request.properties)
        )
        if was["Types"] != now["Types"]:
            path = f"/endpointConfiguration/types/{was['Types'][0]}"
            patch.append(_replace(path, now["Types"][0]))
        before, after = set(was.get("VpcEndpointIds", ())), set(now.get("VpcEndpointIds", ()))
        for op, ids in (("remove", before - after), ("add", after - before)):
            path = "/endpointConfiguration/vpcEndpointIds"
            patch += [{"op": op, "path": path, "value": each} for each in ids]
        request.client(_SERVICE).update_rest_api(
            restApiId=request.physical_id, patchOperations=patch
        )

    def delete(self, request: Request) -> None:
        """Deletes the API with all its parts."""
        request.remove(_SERVICE, "DeleteRestApi", {"restApiId": request.physical_id})


class Method(Provider):
    """A method with its integration and responses."""

    def create(self, request: Request) -> Result:
        properties, key = request.properties, _method_key(request)
        request.call(_SERVICE, "PutMethod", properties)
        for response in properties.get("MethodResponses", []):
            request.call(_SERVICE, "PutMethodResponse", {**response, **key})
        integration = properties.get("Integration")
        if integration:
            # `HttpMethod` is the method's; the integration's has another name.
            defaults = {"IntegrationHttpMethod": "POST"}
            request.call(_SERVICE, "PutIntegration", {**defaults, **integration, **key})
            for response in integration.get("IntegrationResponses", []):
                request.call(_SERVICE, "PutIntegrationResponse", {**response, **key})
        return Result("|".join(key.values()))

    def update(self, request: Request) -> Result:
        self.delete(request)
        return self.create(request)

    def delete(self, request: Request) -> None:
        request.remove(_SERVICE, "DeleteMethod", _method_key(request))


def _method_key(request: Request) -> Properties:
    return {key: request.properties[key] for key in ("RestApiId", "ResourceId", "HttpMethod")}


class Stage(Provider):
    """A deployment under a name in the URL."""

    tags = "list"

    def create(self, request: Request) -> Result:
        _refuse(request, "Variables")
        request.call(_SERVICE, "CreateStage", request.properties)
        self._patch(request, _stage_settings(request.properties))
        return Result(request.properties["StageName"])

    def update(self, request: Request) -> None:
        paths = {"DeploymentId": "/deploymentId", "TracingEnabled": "/tracingEnabled"}
        self._patch(request, _replacements(request, paths) + _stage_settings(request.properties))

    def delete(self, request: Request) -> None:
        request.remove(_SERVICE, "DeleteStage", request.properties)

    def _patch(self, request: Request, patch: list[dict[str, str]]) -> None:
        if patch:
            request.call(_SERVICE, "UpdateStage", {**request.properties, "PatchOperations": patch})


def _stage_settings(properties: Properties) -> list[dict[str, str]]:
    patch = []
    for setting in properties.get("MethodSettings", []):
        path = setting.get("ResourcePath", "/*").lstrip("/").replace("/", "~1") or "*"
        prefix = f"/{path}/{setting.get('HttpMethod', '*')}"
        patch += [
            _replace(f"{prefix}/{end}", setting[key])
            for key, end in _METHOD_SETTINGS.items()
            if key in setting
        ]
    log = properties.get("AccessLogSetting", {})
    for key, end in (("DestinationArn", "destinationArn"), ("Format", "format")):
        if key in log:
            patch.append(_replace(f"/accessLogSettings/{end}", log[key]))
    return patch


def _authorizer(request: Request) -> Properties:
    _refuse(request, "ProviderARNs")
    return request.properties


def _changed_authorizer(request: Request) -> Properties:
    paths = {
        "Name": "/name",
        "Type": "/type",
        "AuthType": "/authType",
        "AuthorizerUri": "/authorizerUri",
        "AuthorizerCredentials": "/authorizerCredentials",
        "AuthorizerResultTtlInSeconds": "/authorizerResultTtlInSeconds",
        "IdentitySource": "/identitySource",
        "IdentityValidationExpression": "/identityValidationExpression",
    }
    return {"PatchOperations": _replacements(request, paths)}


def _changed_key(request: Request) -> Properties:
    paths = {"Enabled": "/enabled", "Name": "/name", "Description": "/description"}
    return {"PatchOperations": _replacements(request, paths)}


def _plan(request: Request) -> Properties:
    return {"Name": request.properties.get("UsagePlanName"), **request.properties}


def _changed_plan(request: Request) -> Properties:
    paths = {"UsagePlanName": "/name", "Description": "/description"}
    patch = _replacements(request, paths)
    for part in ("Throttle", "Quota"):
        given = request.properties.get(part, {})
        for key, value in given.items():
            patch.append(_replace(f"/{part.lower()}/{key[0].lower()}{key[1:]}", value))
        if not given and request.old.get(part):
            patch.append({"op": "remove", "path": f"/{part.lower()}"})
    was, now = (
        {f"{stage['ApiId']}:{stage['Stage']}": stage for stage in found.get("ApiStages", [])}
        for found in (request.old, request.properties)
    )
    for op, stages in (("remove", was.keys() - now), ("add", now.keys() - was)):
        patch += [{"op": op, "path": "/apiStages", "value": stage} for stage in stages]
    for name, stage in now.items():
        limits = stage.get("Throttle") or {}
        for method in (was.get(name, {}).get("Throttle") or {}).keys() - limits:
            patch.append({"op": "remove", "path": _method_throttle(name, method)})
        for method, throttle in limits.items():
            for key, value in throttle.items():
                end = f"{key[0].lower()}{key[1:]}"
                patch.append(_replace(f"{_method_throttle(name, method)}/{end}", value))
    return {"PatchOperations": patch}


def _method_throttle(stage: str, method: str) -> str:
    """The path of a plan's limits for one method, such as "/batch/POST", of a stage."""
    resource, _, verb = method.rpartition("/")
    return f"/apiStages/{stage}/throttle/{resource.replace('/', '~1')}/{verb}"


class Account(Provider):
    """The account's role for API Gateway's logs; it outlives the resource, as on AWS."""

    def create(self, request: Request) -> Result:
        self.update(request)
        name = request.name()
        return Result(name, {"Id": name})

    def update(self, request: Request) -> None:
        role = request.properties.get("CloudWatchRoleArn")
        if role:
            patch = [_replace("/cloudwatchRoleArn", role)]
            request.call(_SERVICE, "UpdateAccount", {"PatchOperations": patch})


PROVIDERS = {
    "AWS::ApiGateway::Account": Account(),
    "AWS::ApiGateway::ApiKey": Declared(
        _SERVICE,
        ("CreateApiKey", "UpdateApiKey", "DeleteApiKey"),
        id="{id}",
        key={"apiKey": "{id}"},
        attributes={"APIKeyId": "{id}"},
        name="Name",
        tags="list",
        changes=_changed_key,
    ),
    "AWS::ApiGateway::Authorizer": Declared(
        _SERVICE,
        ("CreateAuthorizer", "UpdateAuthorizer", "DeleteAuthorizer"),
        id="{id}",
        key={"restApiId": "{RestApiId}", "authorizerId": "{id}"},
        attributes={"AuthorizerId": "{id}"},
        prepare=_authorizer,
        changes=_changed_authorizer,
    ),
    "AWS::ApiGateway::Deployment": Declared(
        _SERVICE,
        ("CreateDeployment", "", "DeleteDeployment"),
        id="{id}",
        key={"restApiId": "{RestApiId}", "deploymentId": "{id}"},
        attributes={"DeploymentId": "{id}"},
    ),
    "AWS::ApiGateway::GatewayResponse": Declared(
        _SERVICE,
        ("PutGatewayResponse", "PutGatewayResponse", "DeleteGatewayResponse"),
        id="{RestApiId}|{ResponseType}",
        key={"restApiId": "{RestApiId}", "responseType": "{ResponseType}"},
    ),
    "AWS::ApiGateway::Method": Method(),
    "AWS::ApiGateway::Resource": Declared(
        _SERVICE,
        ("CreateResource", "", "DeleteResource"),
        id="{id}",
        key={"restApiId": "{RestApiId}", "resourceId": "{id}"},
        attributes={"ResourceId": "{id}"},
    ),
    "AWS::ApiGateway::RestApi": RestApi(),
    "AWS::ApiGateway::Stage": Stage(),
    "AWS::ApiGateway::UsagePlan": Declared(
        _SERVICE,
        ("CreateUsagePlan", "UpdateUsagePlan", "DeleteUsagePlan"),
        id="{id}",
        key={"usagePlanId": "{id}"},
        attributes={"Id": "{id}"},
        name="Name",
        tags="list",
        prepare=_plan,
        changes=_changed_plan,
    ),
    "AWS::ApiGateway::UsagePlanKey": Declared(
        _SERVICE,
        ("CreateUsagePlanKey", "", "DeleteUsagePlanKey"),
        id="{KeyId}:{UsagePlanId}",
        key={"keyId": "{parts[0]}", "usagePlanId": "{parts[1]}"},
        attributes={"Id": "{KeyId}:{UsagePlanId}"},
    ),
}
