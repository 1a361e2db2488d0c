"""SageMaker: models, endpoint configurations and endpoints. Their ids are their ARNs."""

from __future__ import annotations

from botocore.exceptions import ClientError

from local_aws.cloudformation.errors import CancelledError, ResourceError
from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
    Request,
    Result,
    ignore_missing,
    missing,
    shaped,
)

# The largest MaximumExecutionTimeoutInSeconds of an update.
_SECONDS = 28_800


def _generated_name(request: Request) -> str:
    # ARNs have the name in lower case, and the name must be readable from the ARN.
    return request.name(63).lower()


def _name(request: Request) -> str:
    return request.physical_id.rpartition("/")[2]


class Model(Provider):
    """A model; every property is create-only."""

    tags = "list"

    def create(self, request: Request) -> Result:
        properties = {"ModelName": _generated_name(request), **request.properties}
        made = request.client("sagemaker").create_model(
            **shaped("sagemaker", "CreateModel", properties)
        )
        return Result(made["ModelArn"], {"ModelName": properties["ModelName"]})

    def delete(self, request: Request) -> None:
        ignore_missing(request.client("sagemaker").delete_model, ModelName=_name(request))


class EndpointConfig(Provider):
    """An endpoint configuration; every property is create-only."""

    tags = "list"

    def create(self, request: Request) -> Result:
        name = request.properties.get("EndpointConfigName") or _generated_name(request)
        arguments = shaped("sagemaker", "CreateEndpointConfig", request.properties)
        made = request.client("sagemaker").create_endpoint_config(
            **{**arguments, "EndpointConfigName": name}
        )
        return Result(made["EndpointConfigArn"], {"EndpointConfigName": name})

    def delete(self, request: Request) -> None:
        client = request.client("sagemaker")
        ignore_missing(client.delete_endpoint_config, EndpointConfigName=_name(request))


class Endpoint(Provider):
    """An endpoint; creation and updates end once it is in service."""

    tags = "list"

    def create(self, request: Request) -> Result:
        name = request.properties.get("EndpointName") or request.name(63)
        arguments = shaped("sagemaker", "CreateEndpoint", request.properties)
        made = request.client("sagemaker").create_endpoint(**{**arguments, "EndpointName": name})
        arn = made["EndpointArn"]
        try:
            self._wait(request, name, "creation")
        except CancelledError as error:
            raise CancelledError(error.reason, arn) from None
        except ResourceError as error:
            raise ResourceError(error.reason, arn) from None
        return Result(arn, {"EndpointName": name})

    def update(self, request: Request) -> None:
        """Leaves an endpoint alone that already has the configuration."""
        client, name = request.client("sagemaker"), _name(request)
        # An update that was given up may still be running.
        self._settle(request, name)
        wanted = shaped("sagemaker", "UpdateEndpoint", request.properties)
        wanted["EndpointName"] = name
        found = client.describe_endpoint(EndpointName=name)
        config = wanted["EndpointConfigName"]
        if found["EndpointStatus"] != "InService" or found.get("EndpointConfigName") != config:
            client.update_endpoint(**wanted)
            self._wait(request, name, "update")
            found = client.describe_endpoint(EndpointName=name)
            if found.get("EndpointConfigName") != config:
                raise ResourceError(_reason(found, "went back to its old configuration"))

    def delete(self, request: Request) -> None:
        client, name = request.client("sagemaker"), _name(request)
        self._settle(request, name)
        ignore_missing(client.delete_endpoint, EndpointName=name)
        request.wait_until(
            lambda: self._status(request, name) == "", seconds=120, what="endpoint deletion"
        )

    def _status(self, request: Request, name: str) -> str:
        try:
            found = request.client("sagemaker").describe_endpoint(EndpointName=name)
        except ClientError as error:
            if missing(error):
                return ""
            raise
        return str(found["EndpointStatus"])

    def _settle(self, request: Request, name: str) -> None:
        request.wait_until(
            lambda: self._status(request, name) in {"InService", "Failed", ""},
            seconds=_SECONDS,
            what="endpoint settling",
        )

    def _wait(self, request: Request, name: str, what: str) -> None:
        self._settle(request, name)
        found = request.client("sagemaker").describe_endpoint(EndpointName=name)
        if found["EndpointStatus"] != "InService":
            raise ResourceError(_reason(found, f"{what} failed"))


def _reason(found: Properties, default: str) -> str:
    return str(found.get("FailureReason") or f"Endpoint {found['EndpointName']}: {default}")
