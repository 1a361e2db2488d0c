"""KMS: keys and aliases. Nothing is encrypted with them here."""

from __future__ import annotations

import json

from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
    Request,
    Result,
    ignore_missing,
    is_true,
    tag_map,
)


class Key(Provider):
    tags = "list"

    def create(self, request: Request) -> Result:
        client, properties = request.client("kms"), request.properties
        arguments: Properties = {
            "Description": properties.get("Description", ""),
            "Tags": _tags(properties),
        }
        if "KeyPolicy" in properties:
            arguments["Policy"] = json.dumps(properties["KeyPolicy"])
        key = client.create_key(**arguments)["KeyMetadata"]
        _set_rotation(request, key["KeyId"])
        return Result(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})

    def update(self, request: Request) -> None:
        client, properties = request.client("kms"), request.properties
        key = {"KeyId": request.physical_id}
        client.update_key_description(**key, Description=properties.get("Description", ""))
        if "KeyPolicy" in properties:
            policy = json.dumps(properties["KeyPolicy"])
            client.put_key_policy(**key, PolicyName="default", Policy=policy)
        if request.removed_tags():
            client.untag_resource(**key, TagKeys=request.removed_tags())
        client.tag_resource(**key, Tags=_tags(properties))
        _set_rotation(request, request.physical_id)

    def delete(self, request: Request) -> None:
        """Schedules the deletion, as AWS does."""
        ignore_missing(
            request.client("kms").schedule_key_deletion,
            KeyId=request.physical_id,
            PendingWindowInDays=int(request.properties.get("PendingWindowInDays", 30)),
        )


def _tags(properties: Properties) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in tag_map(properties).items()]


def _set_rotation(request: Request, key_id: str) -> None:
    client = request.client("kms")
    if is_true(request.properties.get("EnableKeyRotation")):
        client.enable_key_rotation(KeyId=key_id)
    else:
        client.disable_key_rotation(KeyId=key_id)


class Alias(Provider):
    def create(self, request: Request) -> Result:
        name, key = request.properties["AliasName"], request.properties["TargetKeyId"]
        request.client("kms").create_alias(AliasName=name, TargetKeyId=key)
        return Result(name)

    def update(self, request: Request) -> None:
        key = request.properties["TargetKeyId"]
        request.client("kms").update_alias(AliasName=request.physical_id, TargetKeyId=key)

    def delete(self, request: Request) -> None:
        ignore_missing(request.client("kms").delete_alias, AliasName=request.physical_id)
