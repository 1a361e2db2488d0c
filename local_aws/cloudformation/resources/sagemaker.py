"""Models, endpoint configurations and endpoints."""

from __future__ import annotations

from typing import ClassVar

from botocore.exceptions import ClientError

from local_aws.cloudformation.errors import CancelledError, ResourceError
from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    missing,
    shaped,
)

# As long as an update may take: MaximumExecutionTimeoutInSeconds at its largest.
_SECONDS = 28_800


def _generated_name(request: Request) -> str:
    # The id is the ARN, which SageMaker writes in lower case: from it the name must be found again.
    return request.name(63).lower()


class Model:
    """A model; every property is create-only."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the model; its id is its name, as its Ref is the ARN on AWS too."""
        properties = {"ModelName": _generated_name(request), **request.properties}
        made = request.client("sagemaker").create_model(
            **shaped("sagemaker", "CreateModel", properties)
        )
        return Result(made["ModelArn"], {"ModelName": properties["ModelName"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing but tags, which nothing reads here."""
        del request, old
        return Result(physical_id, {"ModelName": physical_id.rpartition("/")[2]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the model."""
        name = physical_id.rpartition("/")[2]
        ignore_missing(request.client("sagemaker").delete_model, ModelName=name)


class EndpointConfig:
    """What an endpoint runs; every property is create-only."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the configuration."""
        name = request.properties.get("EndpointConfigName") or _generated_name(request)
        arguments = shaped("sagemaker", "CreateEndpointConfig", request.properties)
        made = request.client("sagemaker").create_endpoint_config(
            **{**arguments, "EndpointConfigName": name}
        )
        return Result(made["EndpointConfigArn"], {"EndpointConfigName": name})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing but tags, which nothing reads here."""
        del request, old
        return Result(physical_id, {"EndpointConfigName": physical_id.rpartition("/")[2]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the configuration."""
        name = physical_id.rpartition("/")[2]
        ignore_missing(request.client("sagemaker").delete_endpoint_config, EndpointConfigName=name)


class Endpoint:
    """An endpoint; created and updated when it is in service."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Starts the endpoint."""
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

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Moves it to its configuration; one that runs it already is left alone."""
        del old
        client, name = request.client("sagemaker"), physical_id.rpartition("/")[2]
        # An update that was given up may still be under way.
        self._settle(request, name)
        wanted = shaped("sagemaker", "UpdateEndpoint", request.properties)
        wanted["EndpointName"] = name
        now = client.describe_endpoint(EndpointName=name)
        if now.get("EndpointConfigName") != wanted["EndpointConfigName"] or (
            now["EndpointStatus"] != "InService"
        ):
            client.update_endpoint(**wanted)
            self._wait(request, name, "update")
            now = client.describe_endpoint(EndpointName=name)
            if now.get("EndpointConfigName") != wanted["EndpointConfigName"]:
                raise ResourceError(_reason(now, "went back to its old configuration"))
        return Result(physical_id, {"EndpointName": name})

    def delete(self, request: Request, physical_id: str) -> None:
        """Ends the endpoint."""
        client, name = request.client("sagemaker"), physical_id.rpartition("/")[2]
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


def _reason(found: Properties, otherwise: str) -> str:
    return str(found.get("FailureReason") or f"Endpoint {found['EndpointName']}: {otherwise}")
