"""S3 Vectors: vector buckets, their policies and indexes. Their ids are their ARNs."""

from __future__ import annotations

from local_aws.cloudformation.resources.base import Declared, Properties, Request, tag_map


class _ByArn(Declared):
    """A type whose deletion takes the ARN, and refuses names beside it."""

    def delete(self, request: Request) -> None:
        request.remove(self.service, self.operations[2], self._key(request))


def _retag(request: Request, arn: str) -> None:
    if request.old:
        tags = tag_map(request.properties)
        request.retag("s3vectors", "UntagResource", "TagResource", {"ResourceArn": arn}, tags)


def _policy(request: Request) -> Properties:
    given = request.properties
    arn = (
        given.get("VectorBucketArn")
        or f"arn:aws:s3vectors:{request.region}:{request.context.account_id}"
        f":bucket/{given['VectorBucketName']}"
    )
    return {"VectorBucketArn": arn, "Policy": given["Policy"]}


PROVIDERS = {
    "AWS::S3Vectors::Index": _ByArn(
        "s3vectors",
        ("CreateIndex", "", "DeleteIndex"),
        id="{indexArn}",
        key={"IndexArn": "{id}"},
        attributes={"IndexArn": "{indexArn}"},
        name="IndexName",
        longest_name=63,
        lower_case=True,
        tags="list",
        settle=_retag,
    ),
    # Deletion fails, as on AWS, while there are indexes.
    "AWS::S3Vectors::VectorBucket": _ByArn(
        "s3vectors",
        ("CreateVectorBucket", "", "DeleteVectorBucket"),
        id="{vectorBucketArn}",
        key={"VectorBucketArn": "{id}"},
        attributes={"VectorBucketArn": "{vectorBucketArn}"},
        name="VectorBucketName",
        longest_name=63,
        lower_case=True,
        tags="list",
        settle=_retag,
    ),
    "AWS::S3Vectors::VectorBucketPolicy": _ByArn(
        "s3vectors",
        ("PutVectorBucketPolicy", "PutVectorBucketPolicy", "DeleteVectorBucketPolicy"),
        id="{VectorBucketArn}",
        key={"VectorBucketArn": "{id}"},
        prepare=_policy,
    ),
}
