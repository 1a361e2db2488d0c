"""AWS::SSM::Parameter."""

from __future__ import annotations

from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    tag_map,
    text,
)


class Parameter:
    """A parameter of the store."""

    tags: ClassVar[str] = "map"

    def create(self, request: Request) -> Result:
        """Makes the parameter; fails when there is one of that name."""
        name = request.properties.get("Name") or request.name(1000)
        tags = [{"Key": key, "Value": v} for key, v in tag_map(request.properties).items()]
        return self._put(request, name, Overwrite=False, Tags=tags)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes value, description and tags."""
        client = request.client("ssm")
        gone = set(tag_map(old)) - set(tag_map(request.properties))
        about = {"ResourceType": "Parameter", "ResourceId": physical_id}
        if gone:
            client.remove_tags_from_resource(**about, TagKeys=sorted(gone))
        tags = [{"Key": key, "Value": v} for key, v in tag_map(request.properties).items()]
        if tags:
            client.add_tags_to_resource(**about, Tags=tags)
        return self._put(request, physical_id, Overwrite=True)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the parameter."""
        ignore_missing(request.client("ssm").delete_parameter, Name=physical_id)

    def _put(self, request: Request, name: str, **more: object) -> Result:
        kind, value = request.properties["Type"], text(request.properties["Value"])
        request.client("ssm").put_parameter(
            Name=name,
            Type=kind,
            Value=value,
            Description=request.properties.get("Description", ""),
            **more,
        )
        return Result(name, {"Type": kind, "Value": value})
