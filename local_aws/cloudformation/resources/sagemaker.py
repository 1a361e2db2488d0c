"""SageMaker: models, endpoint configurations and endpoints. Their ids are their ARNs."""

from __future__ import annotations

from botocore.exceptions import ClientError

from local_aws.cloudformation.resources.base import (
    CancelledError,
    Declared,
    Provider,
    Request,
    ResourceError,
    Result,
    missing,
)

# The largest MaximumExecutionTimeoutInSeconds of an update.
_SECONDS = 28_800


def _name(request: Request) -> str:
    return request.physical_id.rpartition("/")[2]


class Endpoint(Provider):
    """An endpoint; creation and updates end once it is in service."""

    tags = "list"

    def create(self, request: Request) -> Result:
        properties = {"EndpointName": request.name(63), **request.properties}
        name = properties["EndpointName"]
        arn = request.call("sagemaker", "CreateEndpoint", properties)["EndpointArn"]
        try:
            self._wait(request, name, "creation")
        except CancelledError as error:
            raise CancelledError(error.reason, arn) from None
        except ResourceError as error:
            raise ResourceError(error.reason, arn) from None
        return Result(arn, {"EndpointName": name})

    def update(self, request: Request) -> None:
        """Succeeds with whatever configuration the endpoint is in service in the end.

        SageMaker puts a failed update back and says InService again. Nothing says that
        CloudFormation compares the configuration (Terraform's provider does not).
        """
        name = _name(request)
        request.call("sagemaker", "UpdateEndpoint", {**request.properties, "EndpointName": name})
        self._wait(request, name, "update")

    def delete(self, request: Request) -> None:
        name = _name(request)
        request.remove("sagemaker", "DeleteEndpoint", {"EndpointName": name})
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

    def _wait(self, request: Request, name: str, what: str) -> None:
        request.wait_until(
            lambda: self._status(request, name) in {"InService", "Failed", ""},
            seconds=_SECONDS,
            what="endpoint settling",
        )
        found = request.client("sagemaker").describe_endpoint(EndpointName=name)
        if found["EndpointStatus"] != "InService":
            raise ResourceError(
                found.get("FailureReason") or f"Endpoint {found['EndpointName']}: {what} failed"
            )


# ARNs have names in lower case, and a generated name must be readable from the ARN.
PROVIDERS = {
    "AWS::SageMaker::Endpoint": Endpoint(),
    "AWS::SageMaker::EndpointConfig": Declared(
        "sagemaker",
        ("CreateEndpointConfig", "", "DeleteEndpointConfig"),
        id="{EndpointConfigArn}",
        key={"EndpointConfigName": "{parts[6]}"},
        attributes={"EndpointConfigName": "{EndpointConfigName}"},
        name="EndpointConfigName",
        longest_name=63,
        lower_case=True,
        tags="list",
    ),
    "AWS::SageMaker::Model": Declared(
        "sagemaker",
        ("CreateModel", "", "DeleteModel"),
        id="{ModelArn}",
        key={"ModelName": "{parts[6]}"},
        attributes={"ModelName": "{ModelName}"},
        name="ModelName",
        longest_name=63,
        lower_case=True,
        tags="list",
    ),
}
