"""SSM: parameters."""

from __future__ import annotations

from local_aws.cloudformation.resources.base import (
    Provider,
    Request,
    Result,
    ignore_missing,
    tag_map,
    text,
)


class Parameter(Provider):
    tags = "map"

    def create(self, request: Request) -> Result:
        name = request.properties.get("Name") or request.name(1000)
        return self._put(request, name, Overwrite=False, Tags=_tags(request))

    def update(self, request: Request) -> Result:
        client = request.client("ssm")
        resource = {"ResourceType": "Parameter", "ResourceId": request.physical_id}
        if request.removed_tags():
            client.remove_tags_from_resource(**resource, TagKeys=request.removed_tags())
        if _tags(request):
            client.add_tags_to_resource(**resource, Tags=_tags(request))
        return self._put(request, request.physical_id, Overwrite=True)

    def delete(self, request: Request) -> None:
        ignore_missing(request.client("ssm").delete_parameter, Name=request.physical_id)

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


def _tags(request: Request) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tag_map(request.properties).items()]
