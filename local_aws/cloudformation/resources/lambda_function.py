"""AWS::Lambda::Function."""

from __future__ import annotations

import io
import zipfile
from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    shaped,
    tag_map,
)

_EXTENSIONS = {"python": "py", "nodejs": "js"}


class Function:
    """A function from a zip in S3 or from source in the template."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the function."""
        client, properties = request.client("lambda"), request.properties
        name = properties.get("FunctionName") or request.name()
        arguments = shaped("lambda", "CreateFunction", _configuration(properties))
        made = client.create_function(
            **{
                **arguments,
                "FunctionName": name,
                "Code": _code(properties),
                "Tags": tag_map(properties),
            }
        )
        self._reserve(request, name, {})
        return Result(name, {"Arn": made["FunctionArn"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes code, configuration and tags, each where it differs."""
        client, properties = request.client("lambda"), request.properties
        if properties["Code"] != old.get("Code"):
            client.update_function_code(FunctionName=physical_id, **_code(properties))
        arguments = shaped("lambda", "UpdateFunctionConfiguration", _configuration(properties))
        # What has left the template goes back to what the service takes by itself.
        for key, default in (("Environment", {"Variables": {}}), ("Layers", [])):
            if key in old:
                arguments.setdefault(key, default)
        made = client.update_function_configuration(**{**arguments, "FunctionName": physical_id})
        gone = set(tag_map(old)) - set(tag_map(properties))
        if gone:
            client.untag_resource(Resource=made["FunctionArn"], TagKeys=sorted(gone))
        if tag_map(properties):
            client.tag_resource(Resource=made["FunctionArn"], Tags=tag_map(properties))
        self._reserve(request, physical_id, old)
        return Result(physical_id, {"Arn": made["FunctionArn"]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the function with all its versions."""
        ignore_missing(request.client("lambda").delete_function, FunctionName=physical_id)

    def _reserve(self, request: Request, name: str, old: Properties) -> None:
        wanted = request.properties.get("ReservedConcurrentExecutions")
        client = request.client("lambda")
        if wanted is not None:
            client.put_function_concurrency(
                FunctionName=name, ReservedConcurrentExecutions=int(wanted)
            )
        elif "ReservedConcurrentExecutions" in old:
            client.delete_function_concurrency(FunctionName=name)


def _configuration(properties: Properties) -> Properties:
    return {key: value for key, value in properties.items() if key not in {"Code", "Tags"}}


def _code(properties: Properties) -> Properties:
    code = properties["Code"]
    if "ZipFile" not in code:
        return {key: code[key] for key in ("S3Bucket", "S3Key", "S3ObjectVersion") if key in code}
    runtime: str = properties["Runtime"]
    extension = next(end for start, end in _EXTENSIONS.items() if runtime.startswith(start))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"index.{extension}", code["ZipFile"])
    return {"ZipFile": file.getvalue()}
