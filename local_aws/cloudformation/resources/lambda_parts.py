"""What goes with Lambda functions: layers, permissions, versions, aliases."""

from __future__ import annotations

from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    shaped,
)


class LayerVersion:
    """One version of a layer; every property is create-only."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Publishes the version."""
        properties = {"LayerName": request.name(), **request.properties}
        made = request.client("lambda").publish_layer_version(
            **shaped("lambda", "PublishLayerVersion", properties)
        )
        arn = made["LayerVersionArn"]
        return Result(arn, {"LayerVersionArn": arn})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing."""
        del request, old
        return Result(physical_id, {"LayerVersionArn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the version."""
        name, _, version = physical_id.rpartition(":")
        ignore_missing(
            request.client("lambda").delete_layer_version,
            LayerName=name.rpartition(":")[2],
            VersionNumber=int(version),
        )


class Permission:
    """A statement of a function's resource policy; every property is create-only."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Adds the statement."""
        statement = request.name(100)
        arguments = shaped("lambda", "AddPermission", request.properties)
        request.client("lambda").add_permission(**{**arguments, "StatementId": statement})
        return Result(statement, {"Id": statement})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing."""
        del request, old
        return Result(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the statement."""
        ignore_missing(
            request.client("lambda").remove_permission,
            FunctionName=request.properties["FunctionName"],
            StatementId=physical_id,
        )


class Version:
    """A published version of a function."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Publishes what the function is now."""
        made = request.client("lambda").publish_version(
            FunctionName=request.properties["FunctionName"],
            Description=request.properties.get("Description", ""),
        )
        arn, version = made["FunctionArn"], made["Version"]
        if not arn.endswith(f":{version}"):
            arn = f"{arn}:{version}"
        return Result(arn, {"Version": version, "FunctionArn": arn})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing."""
        del request, old
        version = physical_id.rpartition(":")[2]
        return Result(physical_id, {"Version": version, "FunctionArn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the version."""
        ignore_missing(
            request.client("lambda").delete_function,
            FunctionName=request.properties["FunctionName"],
            Qualifier=physical_id.rpartition(":")[2],
        )


class Alias:
    """A name for a version of a function."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Makes the alias."""
        made = request.client("lambda").create_alias(
            **shaped("lambda", "CreateAlias", request.properties)
        )
        return Result(made["AliasArn"], {"AliasArn": made["AliasArn"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Points it elsewhere."""
        del old
        request.client("lambda").update_alias(**shaped("lambda", "UpdateAlias", request.properties))
        return Result(physical_id, {"AliasArn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the alias."""
        ignore_missing(
            request.client("lambda").delete_alias,
            FunctionName=request.properties["FunctionName"],
            Name=physical_id.rpartition(":")[2],
        )
