"""Lambda: functions, layers, permissions, versions and aliases."""

from __future__ import annotations

import io
import zipfile

from botocore.exceptions import ClientError

from local_aws.cloudformation.resources.base import (
    Declared,
    Properties,
    Provider,
    Request,
    ResourceError,
    Result,
    missing,
    tag_map,
)

_SERVICE = "lambda"
_CONCURRENCY = "ReservedConcurrentExecutions"


class Function(Provider):
    """A function from a zip file in S3 or from Python source in the template."""

    tags = "list"

    def create(self, request: Request) -> Result:
        properties = {
            "FunctionName": request.name(),
            **request.properties,
            "Code": _code(request.properties),
        }
        made = request.call(_SERVICE, "CreateFunction", properties)
        self._reserve(request, properties["FunctionName"])
        return Result(properties["FunctionName"], {"Arn": made["FunctionArn"]})

    def update(self, request: Request) -> None:
        properties, old, name = request.properties, request.old, request.physical_id
        if properties["Code"] != old.get("Code"):
            code = {"FunctionName": name, **_code(properties)}
            request.call(_SERVICE, "UpdateFunctionCode", code)
        # Properties that left the template return to the service's defaults.
        defaults: Properties = {
            "Environment": {"Variables": {}},
            "Layers": [],
            "SnapStart": {"ApplyOn": "None"},
            "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
        }
        removed = {key: value for key, value in defaults.items() if key in old}
        configuration = {**removed, **properties, "FunctionName": name}
        made = request.call(_SERVICE, "UpdateFunctionConfiguration", configuration)
        resource = {"Resource": made["FunctionArn"]}
        request.retag(_SERVICE, "UntagResource", "TagResource", resource, tag_map(properties))
        self._reserve(request, name)

    def delete(self, request: Request) -> None:
        """Deletes the function with all its versions."""
        request.remove(_SERVICE, "DeleteFunction", {"FunctionName": request.physical_id})

    def _reserve(self, request: Request, name: str) -> None:
        wanted = request.properties.get(_CONCURRENCY)
        resource = {"FunctionName": name}
        if wanted is not None:
            properties = {**resource, _CONCURRENCY: wanted}
            request.call(_SERVICE, "PutFunctionConcurrency", properties)
        elif _CONCURRENCY in request.old:
            request.call(_SERVICE, "DeleteFunctionConcurrency", resource)


def _code(properties: Properties) -> Properties:
    code: Properties = properties["Code"]
    if "ZipFile" not in code:
        return code
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.py", code["ZipFile"])
    return {"ZipFile": file.getvalue()}


class Version(Provider):
    """A version of a function; published once its snapshot, if any, has been taken."""

    def create(self, request: Request) -> Result:
        function = request.properties["FunctionName"]
        client = request.client(_SERVICE)
        listed = client.list_versions_by_function(FunctionName=function)["Versions"]
        made = request.call(_SERVICE, "PublishVersion", request.properties)
        arn, version = made["FunctionArn"], made["Version"]
        if any(each["Version"] == version for each in listed):
            raise ResourceError(
                f"A version for this Lambda function exists ( {version} ). Modify the function to"
                " create a new version."
            )
        request.wait_until(
            lambda: self._state(request, arn)["State"] != "Pending",
            seconds=900,
            what="publication of the version",
        )
        found = self._state(request, arn)
        if found["State"] == "Failed":
            raise ResourceError(f"Version {version} failed: {found['StateReason']}", arn)
        return Result(arn, {"Version": version, "FunctionArn": arn})

    def delete(self, request: Request) -> None:
        """Removes the version, if the function still has it."""
        try:
            request.client(_SERVICE).delete_function(FunctionName=request.physical_id)
        except ClientError as error:
            if not missing(error):
                raise

    def _state(self, request: Request, arn: str) -> Properties:
        client = request.client(_SERVICE)
        return dict(client.get_function_configuration(FunctionName=arn))


PROVIDERS = {
    "AWS::Lambda::Alias": Declared(
        _SERVICE,
        ("CreateAlias", "UpdateAlias", "DeleteAlias"),
        id="{AliasArn}",
        key={"FunctionName": "{FunctionName}", "Name": "{parts[7]}"},
        attributes={"AliasArn": "{AliasArn}"},
    ),
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::LayerVersion": Declared(
        _SERVICE,
        ("PublishLayerVersion", "", "DeleteLayerVersion"),
        id="{LayerVersionArn}",
        key={"LayerName": "{parts[6]}", "VersionNumber": "{parts[7]}"},
        attributes={"LayerVersionArn": "{LayerVersionArn}"},
        name="LayerName",
    ),
    "AWS::Lambda::Permission": Declared(
        _SERVICE,
        ("AddPermission", "", "RemovePermission"),
        id="{StatementId}",
        key={"FunctionName": "{FunctionName}", "StatementId": "{id}"},
        attributes={"Id": "{StatementId}"},
        name="StatementId",
        longest_name=100,
    ),
    "AWS::Lambda::Version": Version(),
}
