"""Empties buckets when they are removed with their stack."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.policies import wildcards
from stacks.common.python_function import PythonFunction


class EmptyBuckets(Construct):
    """One function, and one custom resource a bucket that empties it before it is deleted.

    CloudFormation cannot delete a bucket that holds objects or versions of them. Only for stages
    whose removal policy is destroy.
    """

    def __init__(self, scope: Construct, id_: str, *, buckets: Mapping[str, s3.Bucket]) -> None:
        super().__init__(scope, id_)
        function = PythonFunction(
            self,
            "EmptyBucket",
            handler="empty_bucket.handler.handler",
            description="Empties a bucket before CloudFormation deletes it",
            timeout=cdk.Duration.minutes(14),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        arns = [bucket.bucket_arn for bucket in buckets.values()]
        function.allow(["s3:ListBucketVersions", "s3:ListBucketMultipartUploads"], arns)
        function.allow(
            ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"],
            wildcards(self, {f"{arn}/*": "Every object goes, whatever its key." for arn in arns}),
        )
        # It empties nothing while its stack stays.
        function.allow(["cloudformation:DescribeStacks"], [cdk.Stack.of(self).stack_id])
        for name, bucket in buckets.items():
            emptying = cdk.CustomResource(
                self,
                name,
                resource_type="Custom::EmptyBucket",
                service_token=function.function.function_arn,
                service_timeout=cdk.Duration.minutes(15),
                properties={"BucketName": bucket.bucket_name},
            )
            # Until the bucket is empty the function needs its permissions, and the bucket must
            # still refuse what is not TLS.
            emptying.node.add_dependency(function.role, bucket)
