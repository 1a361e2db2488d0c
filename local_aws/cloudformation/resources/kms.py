"""Keys and aliases. Nothing is encrypted with them here."""

from __future__ import annotations

import json
from typing import ClassVar

from botocore.client import BaseClient

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    tag_map,
)


class Key:
    """A key with its policy and rotation."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the key."""
        client, properties = request.client("kms"), request.properties
        arguments: Properties = {
            "Description": properties.get("Description", ""),
            "Tags": _tags(properties),
        }
        if "KeyPolicy" in properties:
            arguments["Policy"] = json.dumps(properties["KeyPolicy"])
        key = client.create_key(**arguments)["KeyMetadata"]
        _rotate(client, key["KeyId"], properties)
        return Result(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes description, policy, rotation and tags."""
        client, properties = request.client("kms"), request.properties
        client.update_key_description(
            KeyId=physical_id, Description=properties.get("Description", "")
        )
        if "KeyPolicy" in properties:
            client.put_key_policy(
                KeyId=physical_id,
                PolicyName="default",
                Policy=json.dumps(properties["KeyPolicy"]),
            )
        gone = set(tag_map(old)) - set(tag_map(properties))
        if gone:
            client.untag_resource(KeyId=physical_id, TagKeys=sorted(gone))
        client.tag_resource(KeyId=physical_id, Tags=_tags(properties))
        _rotate(client, physical_id, properties)
        key = client.describe_key(KeyId=physical_id)["KeyMetadata"]
        return Result(physical_id, {"Arn": key["Arn"], "KeyId": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Schedules the deletion, as AWS does."""
        days = int(request.properties.get("PendingWindowInDays", 30))
        ignore_missing(
            request.client("kms").schedule_key_deletion,
            KeyId=physical_id,
            PendingWindowInDays=days,
        )


def _tags(properties: Properties) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in tag_map(properties).items()]


def _rotate(client: BaseClient, key_id: str, properties: Properties) -> None:
    if properties.get("EnableKeyRotation") in (True, "true"):
        client.enable_key_rotation(KeyId=key_id)
    else:
        client.disable_key_rotation(KeyId=key_id)


class Alias:
    """Another name of a key."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Makes the alias."""
        name = request.properties["AliasName"]
        request.client("kms").create_alias(
            AliasName=name, TargetKeyId=request.properties["TargetKeyId"]
        )
        return Result(name)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Points it elsewhere."""
        del old
        request.client("kms").update_alias(
            AliasName=physical_id, TargetKeyId=request.properties["TargetKeyId"]
        )
        return Result(physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the alias, not the key."""
        ignore_missing(request.client("kms").delete_alias, AliasName=physical_id)
