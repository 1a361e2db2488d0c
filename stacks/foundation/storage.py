"""The buckets, and how they are emptied before they are deleted."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract.batch_objects import SHARDS_PREFIX
from stacks.common.policies import acknowledge
from stacks.common.python_function import PythonFunction
from stacks.common.stage_stack import StageStack

_UNFINISHED_DAYS = 7
_SHARD_DAYS = 7


class Storage(Construct):
    """Three buckets: artifacts (baked models), batch (inputs and results) and access logs.

    Versioned, encrypted, TLS only, closed to the public. Baked models never expire: only replaced
    versions and unfinished uploads do. Objects in the batch bucket and access logs expire and are
    gone a day later, the least that S3 allows. EventBridge learns of each new object in the batch
    bucket.

    Args:
        batch_retention_days: how long inputs and results are kept.
        batch_origins: web pages that may use presigned URLs of the batch bucket.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        key: kms.IKey,
        batch_retention_days: int,
        batch_origins: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, id_)
        self._removal_policy = StageStack.containing(self).removal_policy
        self.access_logs = s3.Bucket(
            self,
            "AccessLogs",
            # S3 cannot deliver access logs to a bucket encrypted with a KMS key of ours.
            encryption=s3.BucketEncryption.S3_MANAGED,
            versioned=True,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=self._removal_policy,
            lifecycle_rules=[
                _unfinished_and_replaced(replaced_days=1),
                s3.LifecycleRule(id="old", expiration=cdk.Duration.days(90)),
            ],
        )
        acknowledge(
            self.access_logs,
            {"AwsSolutions-S1": "It receives the access logs; logging itself would loop."},
        )
        self.artifacts = self._bucket("Artifacts", key, _unfinished_and_replaced())
        self.batch = self._bucket(
            "Batch",
            key,
            # Users' texts: neither a replaced version nor what an expired object leaves behind
            # outlives the retention.
            _unfinished_and_replaced(
                replaced_days=1, unfinished_days=min(_UNFINISHED_DAYS, batch_retention_days)
            ),
            s3.LifecycleRule(id="retention", expiration=cdk.Duration.days(batch_retention_days)),
            # Copies of the input, which only the transform job reads.
            s3.LifecycleRule(
                id="shards",
                prefix=SHARDS_PREFIX,
                expiration=cdk.Duration.days(min(_SHARD_DAYS, batch_retention_days)),
            ),
        )
        self._notify_event_bridge(self.batch)
        if batch_origins:
            self.batch.add_cors_rule(
                allowed_origins=[*batch_origins],
                allowed_methods=[s3.HttpMethods.GET, s3.HttpMethods.PUT],
                allowed_headers=["content-type", "range"],
                max_age=3000,
            )

    def _bucket(self, id_: str, key: kms.IKey, *lifecycle_rules: s3.LifecycleRule) -> s3.Bucket:
        return s3.Bucket(
            self,
            id_,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            versioned=True,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix=f"{id_.lower()}/",
            removal_policy=self._removal_policy,
            lifecycle_rules=[*lifecycle_rules],
        )

    @staticmethod
    def _notify_event_bridge(bucket: s3.Bucket) -> None:
        """The CDK's own option would add a function that may change any bucket."""
        resource = bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )


class EmptyBuckets(Construct):
    """One function, and for each bucket a custom resource that empties it before it is deleted.

    CloudFormation cannot delete a bucket that holds objects or versions of them. Only for stages
    whose removal policy is destroy.
    """

    def __init__(self, scope: Construct, id_: str, storage: Storage) -> None:
        super().__init__(scope, id_)
        buckets = {b.node.id: b for b in (storage.artifacts, storage.batch, storage.access_logs)}
        function = PythonFunction(
            self,
            "EmptyBucket",
            handler="empty_bucket.handler.handler",
            description="Empties a bucket before CloudFormation deletes it",
            timeout=cdk.Duration.minutes(14),
        )
        arns = [bucket.bucket_arn for bucket in buckets.values()]
        function.allow(
            ["s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:PutBucketPolicy"], arns
        )
        function.allow(
            ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"],
            {f"{arn}/*": "It deletes every object." for arn in arns},
        )
        # It empties a bucket only if the whole stack is being deleted.
        function.allow(["cloudformation:DescribeStacks"], [cdk.Stack.of(self).stack_id])
        emptying: dict[str, cdk.CustomResource] = {}
        for name, bucket in buckets.items():
            emptying[name] = cdk.CustomResource(
                self,
                name,
                resource_type="Custom::EmptyBucket",
                service_token=function.function.function_arn,
                service_timeout=cdk.Duration.minutes(15),
                properties={"BucketName": bucket.bucket_name},
            )
            # Until the bucket is empty, the function needs its permissions and the endpoints it
            # calls by, and the bucket must still reject plain HTTP.
            emptying[name].node.add_dependency(function.role, bucket)
            if network := StageStack.containing(self).network:
                emptying[name].node.add_dependency(network.ready)
        # Emptying a bucket is logged into the bucket of access logs, so that one goes last.
        # Deletion goes against the dependencies.
        last = emptying.pop(storage.access_logs.node.id)
        for other in emptying.values():
            other.node.add_dependency(last)


def _unfinished_and_replaced(
    *, replaced_days: int = 30, unfinished_days: int = _UNFINISHED_DAYS
) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id="unfinished-and-replaced",
        noncurrent_version_expiration=cdk.Duration.days(replaced_days),
        abort_incomplete_multipart_upload_after=cdk.Duration.days(unfinished_days),
    )
