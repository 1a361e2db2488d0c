"""AWS::S3::Bucket and its policy."""

from __future__ import annotations

import json
from typing import ClassVar

from botocore.client import BaseClient

from local_aws.cloudformation.errors import ResourceError
from local_aws.cloudformation.functions import Value
from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    is_true,
    shaped,
    tag_map,
)


class Bucket:
    """A bucket with versioning, encryption, lifecycle, access logs and tags."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes and configures the bucket."""
        client = request.client("s3")
        name = request.properties.get("BucketName") or request.name(63).lower()
        arguments: Properties = {"Bucket": name}
        if request.region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": request.region}
        client.create_bucket(**arguments)
        _configure(client, name, request.properties, {})
        return _result(name, request.region)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Configures it anew."""
        _configure(request.client("s3"), physical_id, request.properties, old)
        return _result(physical_id, request.region)

    def delete(self, request: Request, physical_id: str) -> None:
        """Fails, as AWS does, while objects are left."""
        ignore_missing(request.client("s3").delete_bucket, Bucket=physical_id)


def _result(name: str, region: str) -> Result:
    return Result(
        name,
        {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{region}.amazonaws.com",
        },
    )


def _configure(client: BaseClient, name: str, properties: Properties, old: Properties) -> None:
    versioning = properties.get("VersioningConfiguration")
    if versioning:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    _either(
        properties.get("BucketEncryption"),
        old.get("BucketEncryption"),
        lambda wanted: client.put_bucket_encryption(
            Bucket=name, ServerSideEncryptionConfiguration=_encryption(wanted)
        ),
        lambda: client.delete_bucket_encryption(Bucket=name),
    )
    _either(
        properties.get("LifecycleConfiguration"),
        old.get("LifecycleConfiguration"),
        lambda wanted: client.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration={"Rules": [_rule(r) for r in wanted["Rules"]]}
        ),
        lambda: client.delete_bucket_lifecycle(Bucket=name),
    )
    _either(
        properties.get("PublicAccessBlockConfiguration"),
        old.get("PublicAccessBlockConfiguration"),
        lambda wanted: client.put_public_access_block(
            **shaped(
                "s3",
                "PutPublicAccessBlock",
                {"Bucket": name, "PublicAccessBlockConfiguration": wanted},
            )
        ),
        lambda: client.delete_public_access_block(Bucket=name),
    )
    _notify(client, name, properties, old)
    ownership = properties.get("OwnershipControls")
    if ownership:
        client.put_bucket_ownership_controls(Bucket=name, OwnershipControls=ownership)
    tags = [{"Key": key, "Value": value} for key, value in tag_map(properties).items()]
    _either(
        tags,
        old.get("Tags"),
        lambda wanted: client.put_bucket_tagging(Bucket=name, Tagging={"TagSet": wanted}),
        lambda: client.delete_bucket_tagging(Bucket=name),
    )


def _notify(client: BaseClient, name: str, properties: Properties, old: Properties) -> None:
    wanted = properties.get("NotificationConfiguration", {})
    if set(wanted) - {"EventBridgeConfiguration"}:
        raise ResourceError("The local AWS tells of new objects by EventBridge only")
    if wanted == old.get("NotificationConfiguration", {}):
        return
    enabled = wanted.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", False)
    client.put_bucket_notification_configuration(
        Bucket=name,
        NotificationConfiguration={"EventBridgeConfiguration": {}} if is_true(enabled) else {},
    )


def _either(wanted: Value, old: Value, put: Value, remove: Value) -> None:
    if wanted:
        put(wanted)
    elif old:
        remove()


def _encryption(wanted: Properties) -> Properties:
    rules = []
    for rule in wanted["ServerSideEncryptionConfiguration"]:
        by_default = rule.get("ServerSideEncryptionByDefault")
        renamed = {} if by_default is None else {"ApplyServerSideEncryptionByDefault": by_default}
        if "BucketKeyEnabled" in rule:
            renamed["BucketKeyEnabled"] = rule["BucketKeyEnabled"]
        rules.append(renamed)
    return {"Rules": rules}


def _rule(rule: Properties) -> Properties:
    """A lifecycle rule in the API's words."""
    found: Properties = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "Id" in rule:
        found["ID"] = rule["Id"]
    tags = rule.get("TagFilters", [])
    if tags:
        found["Filter"] = {"And": {"Prefix": rule.get("Prefix", ""), "Tags": tags}}
    expiration = {}
    if "ExpirationInDays" in rule:
        expiration["Days"] = int(rule["ExpirationInDays"])
    if "ExpiredObjectDeleteMarker" in rule:
        expiration["ExpiredObjectDeleteMarker"] = rule["ExpiredObjectDeleteMarker"]
    if expiration:
        found["Expiration"] = expiration
    if "NoncurrentVersionExpiration" in rule:
        found["NoncurrentVersionExpiration"] = {
            key: int(value) for key, value in rule["NoncurrentVersionExpiration"].items()
        }
    if "AbortIncompleteMultipartUpload" in rule:
        found["AbortIncompleteMultipartUpload"] = {
            key: int(value) for key, value in rule["AbortIncompleteMultipartUpload"].items()
        }
    if "Transitions" in rule:
        found["Transitions"] = [
            {"StorageClass": item["StorageClass"], "Days": int(item["TransitionInDays"])}
            for item in rule["Transitions"]
        ]
    if "NoncurrentVersionTransitions" in rule:
        found["NoncurrentVersionTransitions"] = [
            {
                "StorageClass": item["StorageClass"],
                "NoncurrentDays": int(item["TransitionInDays"]),
            }
            for item in rule["NoncurrentVersionTransitions"]
        ]
    return found


class BucketPolicy:
    """The policy of one bucket."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Puts the policy; its id is the bucket's name."""
        bucket = request.properties["Bucket"]
        policy = json.dumps(request.properties["PolicyDocument"])
        request.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
        return Result(bucket)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts it anew."""
        del physical_id, old
        return self.create(request)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the policy, not the bucket."""
        ignore_missing(request.client("s3").delete_bucket_policy, Bucket=physical_id)
