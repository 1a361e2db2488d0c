"""The role that SageMaker assumes."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.common.policies import wildcards
from stacks.common.published_assets import published_assets_arn
from stacks.foundation.storage import Storage
from stage.settings import Settings


class ExecutionRole(Construct):
    """What training jobs, endpoints and transform jobs may do, and nothing else.

    The statements are inline policies of the role itself, never a policy beside it: SageMaker
    checks access to image and model data the moment a Model is created, and a policy attached
    later may not be there yet.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        storage: Storage,
        key: kms.IKey,
        asset_prefix: str,
    ) -> None:
        super().__init__(scope, id_)
        stack = cdk.Stack.of(self)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com",
                # No other account's SageMaker may use this role on our behalf.
                conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
            ),
            description=f"Assumed by SageMaker for the jobs and endpoints of {settings.stage}",
            inline_policies={
                "Data": self._data(settings, storage, key, asset_prefix),
                "Image": self._image(settings),
                "Logs": self._logs(),
                "Alarms": self._alarms(settings),
            },
        )

    def _data(
        self, settings: Settings, storage: Storage, key: kms.IKey, asset_prefix: str
    ) -> iam.PolicyDocument:
        stack = cdk.Stack.of(self)
        published = published_assets_arn(self)
        weights = f"arn:{stack.partition}:s3:::{settings.lock.weights_bucket(settings.region)}"
        readable = [
            *(bucket.bucket_arn for bucket in (storage.artifacts, storage.batch)),
            published,
            weights,
        ]
        objects = wildcards(
            self,
            {
                storage.artifacts.arn_for_objects("*"): "Bakes are named by their hashes.",
                storage.batch.arn_for_objects("*"): "Batches are named by their callers.",
                f"{published}/{asset_prefix}*": "Corpus and code lie below our own prefix of the"
                " CDK's bucket, under their hashes; naming those would change this policy with"
                " every corpus.",
                f"{weights}/{settings.jumpstart_model.weights_key}*": "The files of one version"
                " of one model's weights: JumpStart names them.",
            },
        )
        statements = [
            # Without ListBucket an absent object looks like a forbidden one.
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=readable),
            iam.PolicyStatement(actions=["s3:GetObject"], resources=objects),
            iam.PolicyStatement(
                actions=["s3:PutObject"],
                resources=wildcards(
                    self,
                    {
                        storage.artifacts.arn_for_objects("bakes/*"): "Named by the bake's hash.",
                        storage.batch.arn_for_objects("output/*"): "Named by the batch's id.",
                    },
                ),
            ),
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
                resources=[key.key_arn],
            ),
            iam.PolicyStatement(
                actions=["kms:CreateGrant"],
                resources=[key.key_arn],
                # Grants that AWS makes for the volumes of jobs and instances, no others.
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
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
                iam.PolicyStatement(
                    actions=["ecr:GetAuthorizationToken"],
                    resources=wildcards(
                        self, {"*": "Neither ECR's token nor a CloudWatch metric has an ARN."}
                    ),
                ),
                iam.PolicyStatement(
                    actions=[
                        "ecr:BatchCheckLayerAvailability",
                        "ecr:BatchGetImage",
                        "ecr:GetDownloadUrlForLayer",
                    ],
                    resources=[repository],
                ),
            ]
        )

    def _logs(self) -> iam.PolicyDocument:
        stack = cdk.Stack.of(self)
        groups = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group"
        return iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(
                    actions=[
                        "logs:CreateLogGroup",
                        "logs:CreateLogStream",
                        "logs:DescribeLogStreams",
                        "logs:PutLogEvents",
                    ],
                    resources=wildcards(
                        self,
                        {
                            f"{groups}:/aws/sagemaker/*": "SageMaker names the groups by job type"
                            " and endpoint, the streams by instance."
                        },
                    ),
                ),
                iam.PolicyStatement(
                    actions=["cloudwatch:PutMetricData"],
                    resources=["*"],  # acknowledged above; the condition narrows it
                    conditions={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
                ),
            ]
        )

    def _alarms(self, settings: Settings) -> iam.PolicyDocument:
        """SageMaker reads, in this role, the alarms that take an endpoint's update back."""
        named = cdk.Stack.of(self).format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=f"{settings.names.stack('Model')}-*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(
                    actions=["cloudwatch:DescribeAlarms"],
                    resources=wildcards(
                        self,
                        {
                            named: "The Model stack's alarms: their names begin with the stack's,"
                            " which comes after this one."
                        },
                    ),
                )
            ]
        )
