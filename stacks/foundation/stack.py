"""The Foundation stack: what outlives every corpus and model."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from contract.outputs import ARTIFACTS_BUCKET, BATCH_BUCKET, TOPIC_ARN
from stacks.common.arns import log_group_arn
from stacks.common.stage_stack import StageStack
from stacks.foundation.execution_role import ExecutionRole
from stacks.foundation.network import PrivateNetwork
from stacks.foundation.notifications import Notifications
from stacks.foundation.storage import EmptyBuckets, Storage
from stage.settings import Settings


class FoundationStack(StageStack):
    """KMS key, buckets, the SageMaker execution role, and the topic that alarms notify."""

    def __init__(self, scope: Construct, *, settings: Settings) -> None:
        super().__init__(
            scope,
            "Foundation",
            settings=settings,
            contents="key, buckets and the role SageMaker assumes",
        )
        self.key = kms.Key(
            self,
            "Key",
            description=f"Encrypts the corpus, the models and the batches of {settings.stage}",
            enable_key_rotation=True,
            removal_policy=self.removal_policy,
            pending_window=cdk.Duration.days(7),
        )
        self._let_logs_use_the_key()
        if settings.search.has_vector_index:
            self._let_vector_indexes_use_the_key()
        if settings.logs.customer_key:
            self.log_key = self.key
        self.storage = Storage(
            self,
            "Storage",
            key=self.key,
            batch_retention_days=settings.batch.retention_days,
            batch_origins=[*self._console_origins(), *settings.api.cors_origins],
        )
        if settings.network.is_private:
            self.network = PrivateNetwork(
                self, "Network", settings=settings, storage=self.storage, key=self.key
            ).network
        self.execution_role = ExecutionRole(
            self, "ExecutionRole", settings=settings, storage=self.storage, key=self.key
        ).role
        self.topic = Notifications(self, "Notifications", settings=settings, key=self.key).topic
        # Always exported; otherwise removing the last alarm would block this stack's update.
        self.export_value(self.topic.topic_arn)
        self.add_output(TOPIC_ARN, self.topic.topic_arn, "What alarms notify")
        for name, bucket, contents in (
            (ARTIFACTS_BUCKET, self.storage.artifacts, "The bakes and their corpora"),
            (BATCH_BUCKET, self.storage.batch, "Put files for batch transform below input/"),
        ):
            self.add_output(name, bucket.bucket_name, contents)
        if self.removal_policy is cdk.RemovalPolicy.DESTROY:
            EmptyBuckets(self, "EmptyBuckets", self.storage)

    def _console_origins(self) -> list[str]:
        """Where the console is served from, if it is.

        The API is made later, and refers to the bucket; so its host is known by its ending alone.
        It is the presigned URL that lets a page in, not the page's origin.
        """
        if not self.settings.api.console:
            return []
        return [f"https://*.execute-api.{self.region}.{self.url_suffix}"]

    def _let_vector_indexes_use_the_key(self) -> None:
        """Lets S3 Vectors read the stage's vectors in the background, to keep its indexes fast.

        As the service documents it ("Data protection and encryption in S3 Vectors"). Calls of ours
        use the key by the caller's own grants.
        """
        buckets = self.format_arn(
            service="s3vectors", resource="bucket", resource_name=self.settings.names.vector_bucket
        )
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt"],
                principals=[iam.ServicePrincipal("indexing.s3vectors.amazonaws.com")],
                resources=["*"],  # in a key's policy: this key
                conditions={
                    "StringEquals": {"aws:SourceAccount": self.account},
                    "ArnLike": {"aws:SourceArn": [buckets, f"{buckets}/*"]},
                    "ForAnyValue:StringEquals": {
                        "kms:EncryptionContextKeys": [
                            "aws:s3vectors:arn",
                            "aws:s3vectors:resource-id",
                        ]
                    },
                },
            )
        )

    def _let_logs_use_the_key(self) -> None:
        """Lets CloudWatch Logs encrypt the stage's log groups with the key, and no other log.

        The groups, mostly in later stacks, refer to the key; so the key's policy knows them by
        name. It does so whatever the settings: what is in a log stays encrypted with the key after
        `logs.customer_key` is turned off, and could no longer be read.
        """
        names = self.settings.names
        groups = [
            # CloudFormation's names for those without one begin with the stack's.
            *(f"{names.stack(part)}-*" for part in self.settings.stacks),
            *(
                f"/aws/vendedlogs/states/{workflow}"
                for workflow in (
                    names.bake_workflow,
                    names.batch_workflow,
                    *([names.index_workflow] if self.settings.search.has_vector_index else []),
                    names.switch_workflow,
                )
            ),
            names.unanswered_log_group,
            names.waf_log_group,
        ]
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                # As CloudWatch Logs documents it ("Encrypt log data using KMS").
                actions=[
                    "kms:Encrypt*",
                    "kms:Decrypt*",
                    "kms:ReEncrypt*",
                    "kms:GenerateDataKey*",
                    "kms:Describe*",
                ],
                principals=[iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")],
                resources=["*"],  # in a key's policy: this key
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": [
                            log_group_arn(self, group) for group in groups
                        ]
                    }
                },
            )
        )
