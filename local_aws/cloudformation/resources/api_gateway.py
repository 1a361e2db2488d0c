"""REST APIs, one resource for each of their parts."""

from __future__ import annotations

from typing import Any, ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    shaped,
    tag_map,
    text,
)


def call(request: Request, method: str, operation: str, **more: Any) -> Properties:
    """Calls an operation with the resource's properties and what more it needs."""
    arguments = {**shaped("apigateway", operation, request.properties), **more}
    answer: Properties = getattr(request.client("apigateway"), method)(**arguments)
    return answer


def replace(path: str, value: Any) -> dict[str, str]:
    """A patch operation that sets `path`."""
    return {"op": "replace", "path": path, "value": text(value)}


class RestApi:
    """An API in resource style; a Body is refused."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the API with its root resource."""
        types = request.properties.get("EndpointConfiguration", {}).get("Types", ["EDGE"])
        made = call(
            request,
            "create_rest_api",
            "CreateRestApi",
            tags=tag_map(request.properties),
            endpointConfiguration={"types": types},
        )
        return self._result(request, made["id"])

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes name, description and the like."""
        paths = {
            "Name": "/name",
            "Description": "/description",
            "ApiKeySourceType": "/apiKeySource",
            "DisableExecuteApiEndpoint": "/disableExecuteApiEndpoint",
        }
        patch = [
            replace(path, request.properties.get(key, ""))
            for key, path in paths.items()
            if request.properties.get(key) != old.get(key)
        ]
        if patch:
            request.client("apigateway").update_rest_api(
                restApiId=physical_id, patchOperations=patch
            )
        return self._result(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the API with all its parts."""
        ignore_missing(request.client("apigateway").delete_rest_api, restApiId=physical_id)

    def _result(self, request: Request, api: str) -> Result:
        items = request.client("apigateway").get_resources(restApiId=api, limit=500)["items"]
        root = next(item["id"] for item in items if item["path"] == "/")
        return Result(api, {"RestApiId": api, "RootResourceId": root})


class Resource:
    """A part of a path; every property is create-only."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Makes the resource."""
        made = call(request, "create_resource", "CreateResource")
        return Result(made["id"], {"ResourceId": made["id"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing."""
        del request, old
        return Result(physical_id, {"ResourceId": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the resource."""
        ignore_missing(
            request.client("apigateway").delete_resource,
            restApiId=request.properties["RestApiId"],
            resourceId=physical_id,
        )


class Method:
    """A method with its integration and responses."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Puts the method and what belongs to it."""
        properties = request.properties
        client = request.client("apigateway")
        address = _method(properties)
        call(request, "put_method", "PutMethod", **address)
        for response in properties.get("MethodResponses", []):
            client.put_method_response(
                **{**shaped("apigateway", "PutMethodResponse", response), **address}
            )
        integration = properties.get("Integration")
        if integration:
            arguments = shaped("apigateway", "PutIntegration", integration)
            # In the operation httpMethod is the method's; the integration has a name of its own.
            arguments["integrationHttpMethod"] = integration.get("IntegrationHttpMethod", "POST")
            client.put_integration(**{**arguments, **address})
            for response in integration.get("IntegrationResponses", []):
                client.put_integration_response(
                    **{**shaped("apigateway", "PutIntegrationResponse", response), **address}
                )
        parts = (properties["RestApiId"], properties["ResourceId"], properties["HttpMethod"])
        return Result("|".join(parts))

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts it anew."""
        del old
        self.delete(request, physical_id)
        return self.create(request)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the method."""
        del physical_id
        ignore_missing(request.client("apigateway").delete_method, **_method(request.properties))


def _method(properties: Properties) -> dict[str, str]:
    return {
        "restApiId": properties["RestApiId"],
        "resourceId": properties["ResourceId"],
        "httpMethod": properties["HttpMethod"],
    }


class GatewayResponse:
    """What the gateway itself answers in one case."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Puts the response."""
        call(request, "put_gateway_response", "PutGatewayResponse")
        return Result(f"{request.properties['RestApiId']}|{request.properties['ResponseType']}")

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts it anew."""
        del physical_id, old
        return self.create(request)

    def delete(self, request: Request, physical_id: str) -> None:
        """Back to the gateway's own answer."""
        del physical_id
        ignore_missing(
            request.client("apigateway").delete_gateway_response,
            restApiId=request.properties["RestApiId"],
            responseType=request.properties["ResponseType"],
        )


class Deployment:
    """What the API was at one moment; every property but the description is create-only."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Takes the API as it is."""
        made = request.client("apigateway").create_deployment(
            restApiId=request.properties["RestApiId"],
            description=request.properties.get("Description", ""),
        )
        return Result(made["id"], {"DeploymentId": made["id"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing that has an effect."""
        del request, old
        return Result(physical_id, {"DeploymentId": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the deployment."""
        ignore_missing(
            request.client("apigateway").delete_deployment,
            restApiId=request.properties["RestApiId"],
            deploymentId=physical_id,
        )


class Stage:
    """A deployment under a name in the URL."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the stage and sets its methods' limits."""
        name = request.properties["StageName"]
        call(request, "create_stage", "CreateStage", tags=tag_map(request.properties))
        self._settings(request, name, [])
        return Result(name)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Moves it to its deployment and sets the rest anew."""
        properties = request.properties
        patch = [replace("/deploymentId", properties["DeploymentId"])]
        variables = properties.get("Variables", {})
        patch += [replace(f"/variables/{key}", value) for key, value in variables.items()]
        patch += [
            {"op": "remove", "path": f"/variables/{key}"}
            for key in old.get("Variables", {})
            if key not in variables
        ]
        if properties.get("TracingEnabled") != old.get("TracingEnabled"):
            patch.append(replace("/tracingEnabled", properties.get("TracingEnabled", False)))
        self._settings(request, physical_id, patch)
        return Result(physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the stage."""
        ignore_missing(
            request.client("apigateway").delete_stage,
            restApiId=request.properties["RestApiId"],
            stageName=physical_id,
        )

    def _settings(self, request: Request, name: str, patch: list[dict[str, str]]) -> None:
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
                replace(f"{prefix}/{end}", setting[key])
                for key, end in names.items()
                if key in setting
            ]
        log = properties.get("AccessLogSetting", {})
        for key, end in (("DestinationArn", "destinationArn"), ("Format", "format")):
            if key in log:
                patch.append(replace(f"/accessLogSettings/{end}", log[key]))
        if patch:
            request.client("apigateway").update_stage(
                restApiId=properties["RestApiId"], stageName=name, patchOperations=patch
            )
