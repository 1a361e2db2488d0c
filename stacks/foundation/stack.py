"""The Foundation stack: what outlives every corpus and model."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.common.retention import removal_policy
from stacks.foundation.empty_buckets import EmptyBuckets
from stacks.foundation.execution_role import ExecutionRole
from stacks.foundation.notifications import Notifications
from stacks.foundation.storage import Storage
from stage.settings import Settings


class FoundationStack(cdk.Stack):
    """KMS key, buckets, the SageMaker execution role, and the topic that alarms notify."""

    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, asset_prefix: str, **options: Any
    ) -> None:
        super().__init__(scope, id_, **options)
        policy = removal_policy(settings)
        self.key = kms.Key(
            self,
            "Key",
            description=f"Encrypts the corpus, the models and the batches of {settings.stage}",
            enable_key_rotation=True,
            removal_policy=policy,
            pending_window=cdk.Duration.days(7),
        )
        self.storage = Storage(
            self,
            "Storage",
            key=self.key,
            removal_policy=policy,
            batch_retention=cdk.Duration.days(settings.batch.retention_days),
        )
        self.execution_role = ExecutionRole(
            self,
            "ExecutionRole",
            settings=settings,
            storage=self.storage,
            key=self.key,
            asset_prefix=asset_prefix,
        ).role
        self.topic = Notifications(self, "Notifications", settings=settings, key=self.key).topic
        # Exported whoever uses it, or the last alarm's going would block this stack's update.
        self.export_value(self.topic.topic_arn)
        cdk.CfnOutput(
            self, "TopicArn", value=self.topic.topic_arn, description="What alarms notify"
        )
        if policy is cdk.RemovalPolicy.DESTROY:
            EmptyBuckets(self, "EmptyBuckets", buckets=self.storage.buckets)
