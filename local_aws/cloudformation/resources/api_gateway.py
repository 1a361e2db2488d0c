"""API Gateway: REST APIs in resource style, one resource type for each of their parts."""

from __future__ import annotations

from typing import Any

from botocore import xform_name

from local_aws.cloudformation.errors import ResourceError
from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
    Request,
    Result,
    ignore_missing,
    shaped,
    text,
)


def _call(request: Request, operation: str, **more: Any) -> Properties:
    """Calls an operation with the resource's properties and `more`."""
    arguments = {**shaped("apigateway", operation, request.properties), **more}
    method = getattr(request.client("apigateway"), xform_name(operation))
    answer: Properties = method(**arguments)
    return answer


def _remove(request: Request, method: str, **arguments: str) -> None:
    ignore_missing(getattr(request.client("apigateway"), method), **arguments)


def _refuse(request: Request, *keys: str) -> None:
    for key in keys:
        if key in request.properties:
            raise ResourceError(f"The local AWS does not support {key}")


def _replace(path: str, value: Any) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": text(value)}


class RestApi(Provider):
    """An API in resource style that carries text only."""

    tags = "list"

    def create(self, request: Request) -> Result:
        _refuse(request, "BinaryMediaTypes", "Body", "BodyS3Location")
        types = request.properties.get("EndpointConfiguration", {}).get("Types", ["EDGE"])
        api = _call(request, "CreateRestApi", endpointConfiguration={"types": types})["id"]
        found = request.client("apigateway").get_resources(restApiId=api, limit=500)
        root = next(item["id"] for item in found["items"] if item["path"] == "/")
        return Result(api, {"RestApiId": api, "RootResourceId": root})

    def update(self, request: Request) -> None:
        paths = {
            "Name": "/name",
            "Description": "/description",
            "ApiKeySourceType": "/apiKeySource",
            "DisableExecuteApiEndpoint": "/disableExecuteApiEndpoint",
        }
        patch = [
            _replace(path, request.properties.get(key, ""))
            for key, path in paths.items()
            if request.properties.get(key) != request.old.get(key)
        ]
        if patch:
            request.client("apigateway").update_rest_api(
                restApiId=request.physical_id, patchOperations=patch
            )

    def delete(self, request: Request) -> None:
        """Removes the API with all its parts."""
        _remove(request, "delete_rest_api", restApiId=request.physical_id)


class Resource(Provider):
    """A part of a path; every property is create-only."""

    def create(self, request: Request) -> Result:
        made = _call(request, "CreateResource")
        return Result(made["id"], {"ResourceId": made["id"]})

    def delete(self, request: Request) -> None:
        api = request.properties["RestApiId"]
        _remove(request, "delete_resource", restApiId=api, resourceId=request.physical_id)


class Method(Provider):
    """A method with its integration and responses."""

    def create(self, request: Request) -> Result:
        properties, client = request.properties, request.client("apigateway")
        address = _address(properties)
        _call(request, "PutMethod", **address)
        for response in properties.get("MethodResponses", []):
            client.put_method_response(
                **{**shaped("apigateway", "PutMethodResponse", response), **address}
            )
        integration = properties.get("Integration")
        if integration:
            arguments = shaped("apigateway", "PutIntegration", integration)
            # `httpMethod` is the method's; the integration's has its own name.
            arguments["integrationHttpMethod"] = integration.get("IntegrationHttpMethod", "POST")
            client.put_integration(**{**arguments, **address})
            for response in integration.get("IntegrationResponses", []):
                client.put_integration_response(
                    **{**shaped("apigateway", "PutIntegrationResponse", response), **address}
                )
        return Result("|".join(address.values()))

    def update(self, request: Request) -> Result:
        self.delete(request)
        return self.create(request)

    def delete(self, request: Request) -> None:
        _remove(request, "delete_method", **_address(request.properties))


def _address(properties: Properties) -> dict[str, str]:
    return {
        "restApiId": properties["RestApiId"],
        "resourceId": properties["ResourceId"],
        "httpMethod": properties["HttpMethod"],
    }


class GatewayResponse(Provider):
    """A customised error response of the gateway."""

    def create(self, request: Request) -> Result:
        _call(request, "PutGatewayResponse")
        return Result(f"{request.properties['RestApiId']}|{request.properties['ResponseType']}")

    def update(self, request: Request) -> Result:
        return self.create(request)

    def delete(self, request: Request) -> None:
        kind = request.properties["ResponseType"]
        api = request.properties["RestApiId"]
        _remove(request, "delete_gateway_response", restApiId=api, responseType=kind)


class Deployment(Provider):
    """A snapshot of an API; every property but the description is create-only."""

    def create(self, request: Request) -> Result:
        made = request.client("apigateway").create_deployment(
            restApiId=request.properties["RestApiId"],
            description=request.properties.get("Description", ""),
        )
        return Result(made["id"], {"DeploymentId": made["id"]})

    def delete(self, request: Request) -> None:
        api = request.properties["RestApiId"]
        _remove(request, "delete_deployment", restApiId=api, deploymentId=request.physical_id)


class Stage(Provider):
    """A deployment under a name in the URL."""

    tags = "list"

    def create(self, request: Request) -> Result:
        _refuse(request, "Variables")
        name = request.properties["StageName"]
        _call(request, "CreateStage")
        self._patch(request, name, [])
        return Result(name)

    def update(self, request: Request) -> None:
        properties, old = request.properties, request.old
        patch = [_replace("/deploymentId", properties["DeploymentId"])]
        if properties.get("TracingEnabled") != old.get("TracingEnabled"):
            patch.append(_replace("/tracingEnabled", properties.get("TracingEnabled", False)))
        self._patch(request, request.physical_id, patch)

    def delete(self, request: Request) -> None:
        api = request.properties["RestApiId"]
        _remove(request, "delete_stage", restApiId=api, stageName=request.physical_id)

    def _patch(self, request: Request, name: str, patch: list[dict[str, str]]) -> None:
        properties = request.properties
        names = {
            "ThrottlingRateLimit": "throttling/rateLimit",
            "ThrottlingBurstLimit": "throttling/burstLimit",
            "MetricsEnabled": "metrics/enabled",
            "LoggingLevel": "logging/loglevel",
            "DataTraceEnabled": "logging/dataTrace",
        }
        for setting in properties.get("MethodSettings", []):
            path = setting.get("ResourcePath", "/*").lstrip("/").replace("/", "~1") or "*"
            prefix = f"/{path}/{setting.get('HttpMethod', '*')}"
            patch += [
                _replace(f"{prefix}/{end}", setting[key])
                for key, end in names.items()
                if key in setting
            ]
        log = properties.get("AccessLogSetting", {})
        for key, end in (("DestinationArn", "destinationArn"), ("Format", "format")):
            if key in log:
                patch.append(_replace(f"/accessLogSettings/{end}", log[key]))
        if patch:
            request.client("apigateway").update_stage(
                restApiId=properties["RestApiId"], stageName=name, patchOperations=patch
            )


class ApiKey(Provider):
    tags = "list"

    def create(self, request: Request) -> Result:
        name = request.properties.get("Name") or request.name()
        made = _call(request, "CreateApiKey", name=name)
        return Result(made["id"], {"APIKeyId": made["id"]})

    def update(self, request: Request) -> None:
        properties = request.properties
        patch = [_replace("/enabled", properties.get("Enabled", False))]
        patch += [
            _replace(f"/{key.lower()}", properties[key])
            for key in ("Name", "Description")
            if key in properties
        ]
        request.client("apigateway").update_api_key(
            apiKey=request.physical_id, patchOperations=patch
        )

    def delete(self, request: Request) -> None:
        _remove(request, "delete_api_key", apiKey=request.physical_id)


class UsagePlan(Provider):
    """The stages that keys open, and how often."""

    tags = "list"

    def create(self, request: Request) -> Result:
        _refuse(request, "Quota")
        name = request.properties.get("UsagePlanName") or request.name()
        made = _call(request, "CreateUsagePlan", name=name)
        return Result(made["id"], {"Id": made["id"]})

    def update(self, request: Request) -> None:
        _refuse(request, "Quota")
        properties = request.properties
        patch = [
            _replace(path, properties[key])
            for key, path in (("UsagePlanName", "/name"), ("Description", "/description"))
            if key in properties
        ]
        for key, value in properties.get("Throttle", {}).items():
            patch.append(_replace(f"/throttle/{key[0].lower()}{key[1:]}", value))
        was, now = (
            {f"{stage['ApiId']}:{stage['Stage']}" for stage in found.get("ApiStages", [])}
            for found in (request.old, properties)
        )
        for op, stages in (("remove", was - now), ("add", now - was)):
            patch += [{"op": op, "path": "/apiStages", "value": stage} for stage in stages]
        if patch:
            request.client("apigateway").update_usage_plan(
                usagePlanId=request.physical_id, patchOperations=patch
            )

    def delete(self, request: Request) -> None:
        _remove(request, "delete_usage_plan", usagePlanId=request.physical_id)


class UsagePlanKey(Provider):
    """A key in a plan; every property is create-only."""

    def create(self, request: Request) -> Result:
        _call(request, "CreateUsagePlanKey")
        name = f"{request.properties['KeyId']}:{request.properties['UsagePlanId']}"
        return Result(name, {"Id": name})

    def delete(self, request: Request) -> None:
        key, _, plan = request.physical_id.partition(":")
        _remove(request, "delete_usage_plan_key", usagePlanId=plan, keyId=key)


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
            request.client("apigateway").update_account(patchOperations=patch)
