"""S3: buckets and their policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from local_aws.cloudformation.errors import ResourceError
from local_aws.cloudformation.functions import Value
from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
    Request,
    Result,
    ignore_missing,
    is_true,
    shaped,
)


def _encryption(wanted: Properties) -> Properties:
    by_default = "ServerSideEncryptionByDefault"
    return {
        "Rules": [
            {f"Apply{key}" if key == by_default else key: value for key, value in rule.items()}
            for rule in wanted["ServerSideEncryptionConfiguration"]
        ]
    }


def _lifecycle(wanted: Properties) -> Properties:
    rules = []
    for rule in wanted["Rules"]:
        renamed = {key: value for key, value in rule.items() if key != "Prefix"}
        renamed["Filter"] = {"Prefix": rule.get("Prefix", "")}
        if "ExpirationInDays" in rule:
            renamed["Expiration"] = {"Days": rule["ExpirationInDays"]}
        rules.append(renamed)
    return {"Rules": rules}


# By property: the operations that set and remove it, and the argument of the former.
_SETTINGS: dict[str, tuple[str, str, str, Callable[[Value], Value]]] = {
    "BucketEncryption": (
        "put_bucket_encryption",
        "delete_bucket_encryption",
        "ServerSideEncryptionConfiguration",
        _encryption,
    ),
    "LifecycleConfiguration": (
        "put_bucket_lifecycle_configuration",
        "delete_bucket_lifecycle",
        "LifecycleConfiguration",
        _lifecycle,
    ),
    "PublicAccessBlockConfiguration": (
        "put_public_access_block",
        "delete_public_access_block",
        "PublicAccessBlockConfiguration",
        dict,
    ),
    "OwnershipControls": (
        "put_bucket_ownership_controls",
        "delete_bucket_ownership_controls",
        "OwnershipControls",
        dict,
    ),
    "Tags": (
        "put_bucket_tagging",
        "delete_bucket_tagging",
        "Tagging",
        lambda tags: {"TagSet": tags},
    ),
}


class Bucket(Provider):
    """A bucket with versioning, encryption, lifecycle, notifications and tags."""

    tags = "list"

    def create(self, request: Request) -> Result:
        client = request.client("s3")
        name = request.properties.get("BucketName") or request.name(63).lower()
        arguments: Properties = {"Bucket": name}
        if request.region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": request.region}
        client.create_bucket(**arguments)
        _configure(client, name, request)
        return Result(
            name,
            {
                "Arn": f"arn:aws:s3:::{name}",
                "DomainName": f"{name}.s3.amazonaws.com",
                "RegionalDomainName": f"{name}.s3.{request.region}.amazonaws.com",
            },
        )

    def update(self, request: Request) -> None:
        _configure(request.client("s3"), request.physical_id, request)

    def delete(self, request: Request) -> None:
        """Fails, as on AWS, while there are objects."""
        ignore_missing(request.client("s3").delete_bucket, Bucket=request.physical_id)


def _configure(client: Any, name: str, request: Request) -> None:
    versioning = request.properties.get("VersioningConfiguration")
    if versioning:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    for key, (put, remove, argument, convert) in _SETTINGS.items():
        wanted = request.properties.get(key)
        if wanted:
            operation = client.meta.method_to_api_mapping[put]
            arguments = {"Bucket": name, argument: convert(wanted)}
            getattr(client, put)(**shaped("s3", operation, arguments))
        elif request.old.get(key):
            getattr(client, remove)(Bucket=name)
    _set_notifications(client, name, request)


def _set_notifications(client: Any, name: str, request: Request) -> None:
    wanted = request.properties.get("NotificationConfiguration", {})
    if set(wanted) - {"EventBridgeConfiguration"}:
        raise ResourceError("The local AWS reports new objects to EventBridge only")
    if wanted == request.old.get("NotificationConfiguration", {}):
        return
    enabled = wanted.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", False)
    client.put_bucket_notification_configuration(
        Bucket=name,
        NotificationConfiguration={"EventBridgeConfiguration": {}} if is_true(enabled) else {},
    )


class BucketPolicy(Provider):
    """The policy of a bucket; its id is the bucket's name."""

    def create(self, request: Request) -> Result:
        bucket = request.properties["Bucket"]
        policy = json.dumps(request.properties["PolicyDocument"])
        request.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
        return Result(bucket)

    def update(self, request: Request) -> Result:
        return self.create(request)

    def delete(self, request: Request) -> None:
        ignore_missing(request.client("s3").delete_bucket_policy, Bucket=request.physical_id)
