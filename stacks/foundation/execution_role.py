"""The role that SageMaker assumes."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from contract.bake_objects import BAKES_PREFIX
from contract.batch_objects import OUTPUT_PREFIX
from stacks.common.arns import log_group_arn, published_assets_arn, s3_arn, sagemaker_arns
from stacks.common.network import INTERFACES_OF_SAGEMAKER
from stacks.common.policies import only_for, statement
from stacks.common.stage_stack import StageStack
from stacks.foundation.storage import Storage
from stage.settings import Settings


class ExecutionRole(Construct):
    """What training jobs, endpoints and transform jobs may do, and nothing else.

    All statements are inline policies of the role: SageMaker checks access to the image and the
    model data when a Model is created, and a separate policy might not be attached by then.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        storage: Storage,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(
            self,
            "Role",
            # Jobs, models and endpoints, whatever their names.
            assumed_by=only_for("sagemaker.amazonaws.com", sagemaker_arns(self)),
            description=f"Assumed by SageMaker for the jobs and endpoints of {settings.stage}",
            inline_policies={
                "Data": self._data(settings, storage, key),
                "Image": self._image(settings),
                "Logs": self._logs(),
                "Alarms": self._alarms(),
                **(
                    {"Network": self._network_interfaces()}
                    if StageStack.containing(self).network
                    else {}
                ),
            },
        )

    def _network_interfaces(self) -> iam.PolicyDocument:
        """For jobs and models in the private network."""
        reason = "SageMaker makes the network interfaces, and lists a VPC's parts without an ARN."
        return iam.PolicyDocument(
            statements=[statement(self, INTERFACES_OF_SAGEMAKER, {"*": reason})]
        )

    def _data(self, settings: Settings, storage: Storage, key: kms.IKey) -> iam.PolicyDocument:
        asset_prefix = StageStack.containing(self).asset_prefix
        published = published_assets_arn(self)
        weights = s3_arn(self, settings.lock.weights_bucket(settings.region))
        weights_key = settings.jumpstart_model.weights_key
        objects = {
            storage.artifacts.arn_for_objects("*"): "Bakes are named by their hashes.",
            storage.batch.arn_for_objects("*"): "Callers name the objects of batches.",
            f"{published}/{asset_prefix}*": "Corpus and code are published under their hashes;"
            " naming those would change this policy with every corpus.",
            f"{weights}/{weights_key}*": "The files of one version"
            " of one model's weights; JumpStart names them.",
        }
        statements = [
            # Without ListBucket, S3 answers 403 for an object that does not exist.
            statement(
                self,
                ["s3:ListBucket"],
                [bucket.bucket_arn for bucket in (storage.artifacts, storage.batch)],
            ),
            # SageMaker lists what a channel names before it downloads it, perhaps without a final
            # slash. Other apps of the account publish to the same bucket.
            *(
                statement(
                    self, ["s3:ListBucket"], [arn], {"StringLike": {"s3:prefix": f"{prefix}*"}}
                )
                for arn, prefix in (
                    (published, asset_prefix),
                    (weights, weights_key.removesuffix("/")),
                )
            ),
            statement(self, ["s3:GetObject"], objects),
            statement(
                self,
                ["s3:PutObject"],
                {
                    storage.artifacts.arn_for_objects(f"{BAKES_PREFIX}*"): "Bakes are named by"
                    " their hashes.",
                    storage.batch.arn_for_objects(f"{OUTPUT_PREFIX}*"): "Batches are named by"
                    " their ids.",
                },
            ),
            statement(
                self,
                ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
                [key.key_arn],
            ),
            statement(
                self,
                ["kms:CreateGrant"],
                [key.key_arn],
                # Only grants that AWS makes, for the volumes of jobs and instances.
                {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            ),
        ]
        return iam.PolicyDocument(statements=statements)

    def _image(self, settings: Settings) -> iam.PolicyDocument:
        stack = cdk.Stack.of(self)
        account = settings.lock.ecr_registries[settings.region].account
        repository = stack.format_arn(
            service="ecr",
            account=account,
            resource="repository",
            resource_name=settings.lock.image.repository,
        )
        return iam.PolicyDocument(
            statements=[
                statement(
                    self,
                    ["ecr:GetAuthorizationToken"],
                    {
                        "*": "Neither ECR's token nor a CloudWatch metric has an ARN, and alarms"
                        " are listed without one."
                    },
                ),
                statement(
                    self,
                    [
                        "ecr:BatchCheckLayerAvailability",
                        "ecr:BatchGetImage",
                        "ecr:GetDownloadUrlForLayer",
                    ],
                    [repository],
                ),
            ]
        )

    def _logs(self) -> iam.PolicyDocument:
        return iam.PolicyDocument(
            statements=[
                statement(
                    self,
                    [
                        "logs:CreateLogGroup",
                        "logs:CreateLogStream",
                        "logs:DescribeLogStreams",
                        "logs:PutLogEvents",
                    ],
                    {
                        log_group_arn(self, "/aws/sagemaker/*"): "SageMaker names the groups by"
                        " job type and endpoint, the streams by instance."
                    },
                ),
                statement(
                    self,
                    ["cloudwatch:PutMetricData"],
                    ["*"],  # acknowledged above; the condition narrows it
                    {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
                ),
            ]
        )

    def _alarms(self) -> iam.PolicyDocument:
        """SageMaker assumes this role to read the alarms that roll an endpoint's update back."""
        return iam.PolicyDocument(
            statements=[
                statement(
                    self,
                    ["cloudwatch:DescribeAlarms"],
                    # Acknowledged above. An ARN would only allow requests that name alarms, not
                    # those that list them or want composite ones; which of these SageMaker makes is
                    # documented nowhere.
                    ["*"],
                )
            ]
        )
