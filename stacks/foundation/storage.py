"""The buckets."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.policies import acknowledge


class Storage(Construct):
    """Three buckets: artifacts (baked models), batch (inputs and results) and access logs.

    Versioned, encrypted, TLS only, closed to the public. Nothing expires a baked model: only what
    was replaced or never finished goes away by itself. What is put into the batch bucket is told
    to EventBridge, and expires.

    batch_retention: how long inputs and results are kept.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        key: kms.IKey,
        removal_policy: cdk.RemovalPolicy,
        batch_retention: cdk.Duration,
    ) -> None:
        super().__init__(scope, id_)
        self.access_logs = s3.Bucket(
            self,
            "AccessLogs",
            # S3 cannot deliver access logs to a bucket encrypted with a KMS key of ours.
            encryption=s3.BucketEncryption.S3_MANAGED,
            versioned=True,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=removal_policy,
            lifecycle_rules=[
                _unfinished_and_replaced(),
                s3.LifecycleRule(id="old", expiration=cdk.Duration.days(90)),
            ],
        )
        acknowledge(
            self.access_logs,
            {"AwsSolutions-S1": "It receives the access logs; logging itself would loop."},
        )
        self.artifacts = self._bucket("Artifacts", key, removal_policy)
        self.batch = self._bucket(
            "Batch",
            key,
            removal_policy,
            s3.LifecycleRule(id="retention", expiration=batch_retention),
            # Copies of the input, which only the transform job reads.
            s3.LifecycleRule(
                id="shards",
                prefix="shards/",
                expiration=cdk.Duration.days(7),
                noncurrent_version_expiration=cdk.Duration.days(1),
            ),
        )
        self._tell_event_bridge(self.batch)

    @property
    def buckets(self) -> dict[str, s3.Bucket]:
        """Every bucket by its construct id."""
        return {b.node.id: b for b in (self.artifacts, self.batch, self.access_logs)}

    def _bucket(
        self,
        id_: str,
        key: kms.IKey,
        removal_policy: cdk.RemovalPolicy,
        *lifecycle_rules: s3.LifecycleRule,
    ) -> s3.Bucket:
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
            removal_policy=removal_policy,
            lifecycle_rules=[_unfinished_and_replaced(), *lifecycle_rules],
        )

    @staticmethod
    def _tell_event_bridge(bucket: s3.Bucket) -> None:
        """Not by the CDK's own option: that brings a function which may change any bucket."""
        resource = bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )


def _unfinished_and_replaced() -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id="unfinished-and-replaced",
        noncurrent_version_expiration=cdk.Duration.days(30),
        abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
    )
