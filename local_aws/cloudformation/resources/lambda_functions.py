"""Lambda: functions, layers, permissions, versions and aliases."""

from __future__ import annotations

import io
import zipfile

from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
    Request,
    Result,
    ignore_missing,
    shaped,
    tag_map,
)


class Function(Provider):
    """A function from a zip file in S3 or from Python source in the template."""

    tags = "list"

    def create(self, request: Request) -> Result:
        client, properties = request.client("lambda"), request.properties
        name = properties.get("FunctionName") or request.name()
        arguments = shaped("lambda", "CreateFunction", _configuration(properties))
        own = {"FunctionName": name, "Code": _code(properties), "Tags": tag_map(properties)}
        made = client.create_function(**{**arguments, **own})
        self._reserve(request, name)
        return Result(name, {"Arn": made["FunctionArn"]})

    def update(self, request: Request) -> None:
        client, properties = request.client("lambda"), request.properties
        name, old = request.physical_id, request.old
        if properties["Code"] != old.get("Code"):
            client.update_function_code(FunctionName=name, **_code(properties))
        arguments = shaped("lambda", "UpdateFunctionConfiguration", _configuration(properties))
        # Properties that left the template return to the service's defaults.
        for key, default in (("Environment", {"Variables": {}}), ("Layers", [])):
            if key in old:
                arguments.setdefault(key, default)
        made = client.update_function_configuration(**{**arguments, "FunctionName": name})
        arn = made["FunctionArn"]
        if request.removed_tags():
            client.untag_resource(Resource=arn, TagKeys=request.removed_tags())
        if tag_map(properties):
            client.tag_resource(Resource=arn, Tags=tag_map(properties))
        self._reserve(request, name)

    def delete(self, request: Request) -> None:
        """Removes the function with all its versions."""
        ignore_missing(request.client("lambda").delete_function, FunctionName=request.physical_id)

    def _reserve(self, request: Request, name: str) -> None:
        client, key = request.client("lambda"), "ReservedConcurrentExecutions"
        wanted = request.properties.get(key)
        if wanted is not None:
            client.put_function_concurrency(FunctionName=name, **{key: int(wanted)})
        elif key in request.old:
            client.delete_function_concurrency(FunctionName=name)


def _configuration(properties: Properties) -> Properties:
    return {key: value for key, value in properties.items() if key not in {"Code", "Tags"}}


def _code(properties: Properties) -> Properties:
    code = properties["Code"]
    if "ZipFile" not in code:
        return {key: code[key] for key in ("S3Bucket", "S3Key", "S3ObjectVersion") if key in code}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.py", code["ZipFile"])
    return {"ZipFile": file.getvalue()}


class LayerVersion(Provider):
    """One version of a layer; every property is create-only."""

    def create(self, request: Request) -> Result:
        properties = {"LayerName": request.name(), **request.properties}
        made = request.client("lambda").publish_layer_version(
            **shaped("lambda", "PublishLayerVersion", properties)
        )
        arn = made["LayerVersionArn"]
        return Result(arn, {"LayerVersionArn": arn})

    def delete(self, request: Request) -> None:
        name, _, version = request.physical_id.rpartition(":")
        ignore_missing(
            request.client("lambda").delete_layer_version,
            LayerName=name.rpartition(":")[2],
            VersionNumber=int(version),
        )


class Permission(Provider):
    """A statement of a function's resource policy; every property is create-only."""

    def create(self, request: Request) -> Result:
        statement = request.name(100)
        arguments = shaped("lambda", "AddPermission", request.properties)
        request.client("lambda").add_permission(**{**arguments, "StatementId": statement})
        return Result(statement, {"Id": statement})

    def delete(self, request: Request) -> None:
        ignore_missing(
            request.client("lambda").remove_permission,
            FunctionName=request.properties["FunctionName"],
            StatementId=request.physical_id,
        )


class Version(Provider):
    """A published version of a function."""

    def create(self, request: Request) -> Result:
        made = request.client("lambda").publish_version(
            FunctionName=request.properties["FunctionName"],
            Description=request.properties.get("Description", ""),
        )
        arn, version = made["FunctionArn"], made["Version"]
        if not arn.endswith(f":{version}"):
            arn = f"{arn}:{version}"
        return Result(arn, {"Version": version, "FunctionArn": arn})

    def delete(self, request: Request) -> None:
        ignore_missing(
            request.client("lambda").delete_function,
            FunctionName=request.properties["FunctionName"],
            Qualifier=request.physical_id.rpartition(":")[2],
        )


class Alias(Provider):
    """A name for a version of a function."""

    def create(self, request: Request) -> Result:
        made = request.client("lambda").create_alias(
            **shaped("lambda", "CreateAlias", request.properties)
        )
        return Result(made["AliasArn"], {"AliasArn": made["AliasArn"]})

    def update(self, request: Request) -> None:
        request.client("lambda").update_alias(**shaped("lambda", "UpdateAlias", request.properties))

    def delete(self, request: Request) -> None:
        ignore_missing(
            request.client("lambda").delete_alias,
            FunctionName=request.properties["FunctionName"],
            Name=request.physical_id.rpartition(":")[2],
        )
