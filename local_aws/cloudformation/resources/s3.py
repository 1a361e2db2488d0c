"""S3: buckets and their policies."""

from __future__ import annotations

from collections.abc import Callable

from local_aws.cloudformation.functions import Value
from local_aws.cloudformation.resources.base import (
    Declared,
    Properties,
    Provider,
    Request,
    ResourceError,
    Result,
    is_true,
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


def _cors(wanted: Properties) -> Properties:
    renamed = {"Id": "ID", "ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds"}
    return {
        "CORSRules": [
            {renamed.get(key, key): value for key, value in rule.items()}
            for rule in wanted["CorsRules"]
        ]
    }


# By property: the operations that set and remove it, the argument of the first, its conversion.
_SETTINGS: dict[str, tuple[str, str, str, Callable[[Value], Value]]] = {
    "BucketEncryption": (
        "PutBucketEncryption",
        "DeleteBucketEncryption",
        "ServerSideEncryptionConfiguration",
        _encryption,
    ),
    "LifecycleConfiguration": (
        "PutBucketLifecycleConfiguration",
        "DeleteBucketLifecycle",
        "LifecycleConfiguration",
        _lifecycle,
    ),
    "CorsConfiguration": (
        "PutBucketCors",
        "DeleteBucketCors",
        "CORSConfiguration",
        _cors,
    ),
    "PublicAccessBlockConfiguration": (
        "PutPublicAccessBlock",
        "DeletePublicAccessBlock",
        "PublicAccessBlockConfiguration",
        dict,
    ),
    "OwnershipControls": (
        "PutBucketOwnershipControls",
        "DeleteBucketOwnershipControls",
        "OwnershipControls",
        dict,
    ),
    "Tags": (
        "PutBucketTagging",
        "DeleteBucketTagging",
        "Tagging",
        lambda tags: {"TagSet": tags},
    ),
}


class Bucket(Provider):
    """A bucket with versioning, encryption, lifecycle, notifications and tags."""

    tags = "list"

    def create(self, request: Request) -> Result:
        name = request.properties.get("BucketName") or request.name(63).lower()
        properties: Properties = {"Bucket": name}
        if request.region != "us-east-1":
            properties["CreateBucketConfiguration"] = {"LocationConstraint": request.region}
        request.call("s3", "CreateBucket", properties)
        _configure(request, name)
        return Result(
            name,
            {
                "Arn": f"arn:aws:s3:::{name}",
                "DomainName": f"{name}.s3.amazonaws.com",
                "RegionalDomainName": f"{name}.s3.{request.region}.amazonaws.com",
            },
        )

    def update(self, request: Request) -> None:
        _configure(request, request.physical_id)

    def delete(self, request: Request) -> None:
        """Fails, as on AWS, while there are objects."""
        request.remove("s3", "DeleteBucket", {"Bucket": request.physical_id})


def _configure(request: Request, name: str) -> None:
    bucket = {"Bucket": name}
    versioning = request.properties.get("VersioningConfiguration")
    if versioning:
        request.call("s3", "PutBucketVersioning", {**bucket, "VersioningConfiguration": versioning})
    for key, (put, remove, argument, convert) in _SETTINGS.items():
        wanted = request.properties.get(key)
        if wanted:
            request.call("s3", put, {**bucket, argument: convert(wanted)})
        elif request.old.get(key):
            request.call("s3", remove, bucket)
    _set_notifications(request, bucket)


def _set_notifications(request: Request, bucket: Properties) -> None:
    key = "NotificationConfiguration"
    wanted = request.properties.get(key, {})
    if set(wanted) - {"EventBridgeConfiguration"}:
        raise ResourceError("The local AWS reports new objects to EventBridge only")
    if wanted == request.old.get(key, {}):
        return
    enabled = wanted.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", False)
    configuration: Properties = {"EventBridgeConfiguration": {}} if is_true(enabled) else {}
    request.call("s3", "PutBucketNotificationConfiguration", {**bucket, key: configuration})


def _policy(request: Request) -> Properties:
    return {**request.properties, "Policy": request.properties["PolicyDocument"]}


PROVIDERS = {
    "AWS::S3::Bucket": Bucket(),
    "AWS::S3::BucketPolicy": Declared(
        "s3",
        ("PutBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"),
        id="{Bucket}",
        key={"Bucket": "{id}"},
        prepare=_policy,
    ),
}
