"""The function behind the batch's workflow, and what it may do."""

from __future__ import annotations

import json
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.policies import wildcards
from stacks.common.python_function import PythonFunction
from stacks.common.retention import removal_policy
from stage.instance_types import has_local_storage, is_gpu
from stage.prices import prices_for
from stage.settings import Settings

# The driver that the image's CUDA 12 needs; what SageMaker would take by itself may be older.
_GPU_AMI = "al2-ami-sagemaker-batch-gpu-535"


class BatchSteps(Construct):
    """One function for all steps, since they share what they know of a batch's objects.

    Attributes:
        function: the Lambda function.
        jobs: the ARNs of transform jobs, all of this stage's.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        bucket: s3.IBucket,
        key: kms.IKey,
        workflow_name: str,
        job_prefix: str,
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self._workflow_name = workflow_name
        arn = cdk.Stack.of(self).format_arn(
            service="sagemaker", resource="transform-job", resource_name=f"{job_prefix}-*"
        )
        self._function = PythonFunction(
            self,
            "Function",
            handler="batch.steps.handler.handler",
            description="Checks, splits, prepares and reports batches",
            # A file that takes longer is read on by another invocation.
            timeout=cdk.Duration.minutes(15),
            memory_mb=1769,  # a whole vCPU: it parses every line of the input
            removal_policy=removal_policy(settings),
            environment=self._environment(bucket, key, job_prefix),
        )
        self.function: lambda_.IFunction = self._function.function
        self.jobs = wildcards(scope, {arn: "Jobs of this stage: prefix, batch and attempt."})
        self._allow_objects(bucket)
        allow = self._function.allow
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn])
        allow(["ssm:GetParameter"], [self._parameter(name) for name in self._parameters()])
        allow(["states:StartExecution"], [self._states_arn("stateMachine")])
        executions = f"{self._states_arn('execution')}:*"
        allow(
            ["states:DescribeExecution"],
            wildcards(self, {executions: "Executions are named by their batches' ids."}),
        )
        allow(["sagemaker:StopTransformJob"], self.jobs)

    def _environment(self, bucket: s3.IBucket, key: kms.IKey, job_prefix: str) -> dict[str, str]:
        settings = self._settings
        instance_type = settings.batch_instance_type
        deployment, model_name = self._parameters()
        return {
            "BATCH_BUCKET": bucket.bucket_name,
            "STATE_MACHINE_ARN": self._states_arn("stateMachine"),
            "TRANSFORM_JOB_PREFIX": job_prefix,
            "DEPLOYMENT_PARAMETER": deployment,
            "MODEL_NAME_PARAMETER": model_name,
            "INSTANCE_TYPE": instance_type,
            "INSTANCE_COUNT": str(settings.batch.instance_count),
            # Instance types with local storage take no key of ours: their disks are encrypted by
            # hardware.
            "VOLUME_KMS_KEY_ID": "" if has_local_storage(instance_type) else key.key_arn,
            "KMS_KEY_ARN": key.key_arn,
            "TRANSFORM_AMI_VERSION": _GPU_AMI if is_gpu(instance_type) else "",
            # A job does not inherit the stack's tags.
            "TAGS": json.dumps(cdk.Stack.of(self).tags.tag_values(), sort_keys=True),
            "PRICE": self._price(),
        }

    def _price(self) -> str:
        """What an instance costs, as JSON; empty where the price table does not have it."""
        prices = prices_for(self._settings)
        per_hour = prices.instance_hour.get(self._settings.batch_instance_type)
        if per_hour is None:
            return ""
        as_of = prices.as_of.isoformat()
        return json.dumps({"per_hour": per_hour, "currency": prices.currency, "as_of": as_of})

    def _allow_objects(self, bucket: s3.IBucket) -> None:
        """By prefix: what users put is read and never written."""
        # The export that CDK would make of the reference, made here so that its name is known.
        bucket_arn = cdk.Stack.of(bucket).export_value(bucket.bucket_arn)
        allow = self._function.allow

        def below(*prefixes: str) -> list[str]:
            return wildcards(
                self,
                {f"{bucket_arn}/{p}*": "Named by the batch's id or its caller." for p in prefixes},
            )

        # Without ListBucket an absent object looks like a forbidden one.
        allow(["s3:ListBucket"], [bucket_arn])
        allow(["s3:GetObject", "s3:GetObjectVersion"], [*below("input/"), *self._locations()])
        allow(["s3:GetObject"], below("requests/", "output/"))
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], below("shards/", "output/"))
        allow(["s3:ListMultipartUploadParts"], below("output/"))  # merging goes on where it was

    def _locations(self) -> Sequence[str]:
        """What requests may name beside the batch bucket."""
        partition = cdk.Stack.of(self).partition
        return wildcards(
            self,
            {
                f"arn:{partition}:s3:::{uri.removeprefix('s3://')}*": "batch.input_locations of"
                " the settings: whatever lies below a prefix may be named."
                for uri in self._settings.batch.input_locations
            },
        )

    def _parameters(self) -> tuple[str, str]:
        gpu = is_gpu(self._settings.batch_instance_type)
        return self._settings.names.deployment_parameter, self._settings.names.model_name_parameter(
            gpu=gpu
        )

    def _parameter(self, name: str) -> str:
        return cdk.Stack.of(self).format_arn(
            service="ssm", resource="parameter", resource_name=name.lstrip("/")
        )

    def _states_arn(self, resource: str) -> str:
        return cdk.Stack.of(self).format_arn(
            service="states",
            resource=resource,
            resource_name=self._workflow_name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
