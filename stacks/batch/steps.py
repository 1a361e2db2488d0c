"""The function behind the batch workflow, and what it may do."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract.batch_objects import INPUT_PREFIX, OUTPUT_PREFIX, REQUESTS_PREFIX, SHARDS_PREFIX
from contract.index_objects import INDEXES_PREFIX
from stacks.common.arns import (
    executions_arn,
    exported_bucket_arn,
    parameter_arn,
    s3_arn,
    state_machine_arn,
    transform_job_arn,
)
from stacks.common.python_function import PythonFunction
from stage.instance_types import has_local_storage, is_gpu
from stage.prices import prices_for
from stage.settings import Settings

# Has the driver that the image's CUDA 12 needs; SageMaker's default may be older.
_GPU_AMI = "al2-ami-sagemaker-batch-gpu-535"


class BatchSteps(Construct):
    """One function for all steps, since they share the code for a batch's objects.

    Attributes:
        function: the Lambda function.
        jobs: the ARN of transform jobs, all of this stage's, with why it has a `*`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        bucket: s3.IBucket,
        artifacts: s3.IBucket,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        workflow = settings.names.batch_workflow
        self._function = PythonFunction(
            self,
            "Function",
            handler="batch.steps.handler.handler",
            description="Checks, splits, prepares and reports batches",
            # Another invocation continues with a file that takes longer.
            timeout=cdk.Duration.minutes(15),
            memory_mb=1769,  # a whole vCPU: it parses every line of the input
            environment=self._environment(bucket, key),
        )
        self.function: lambda_.IFunction = self._function.function
        self.jobs = {
            transform_job_arn(self, f"{settings.names.prefix}-*"): "This stage's jobs are named"
            " by prefix, batch and attempt."
        }
        self._allow_objects(bucket, artifacts)
        allow = self._function.allow
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn])
        allow(["ssm:GetParameter"], [parameter_arn(self, p) for p in self._parameters()])
        allow(["states:StartExecution"], [state_machine_arn(self, workflow)])
        allow(
            ["states:DescribeExecution"],
            {executions_arn(self, workflow): "Executions are named by their batches' ids."},
        )
        allow(["sagemaker:StopTransformJob"], self.jobs)

    def _environment(self, bucket: s3.IBucket, key: kms.IKey) -> dict[str, str]:
        settings = self._settings
        instance_type = settings.batch_instance_type
        deployment, model_name = self._parameters()
        return {
            "BATCH_BUCKET": bucket.bucket_name,
            "STATE_MACHINE_ARN": state_machine_arn(self, settings.names.batch_workflow),
            "TRANSFORM_JOB_PREFIX": settings.names.prefix,
            "DEPLOYMENT_PARAMETER": deployment,
            "MODEL_NAME_PARAMETER": model_name,
            "INSTANCE_TYPE": instance_type,
            "INSTANCE_COUNT": str(settings.batch.instance_count),
            # Instance types with local storage accept no key: hardware encrypts their disks.
            "VOLUME_KMS_KEY_ID": "" if has_local_storage(instance_type) else key.key_arn,
            "KMS_KEY_ARN": key.key_arn,
            "TRANSFORM_AMI_VERSION": _GPU_AMI if is_gpu(instance_type) else "",
            # A job does not inherit the stack's tags.
            "TAGS": json.dumps(cdk.Stack.of(self).tags.tag_values(), sort_keys=True),
            "PRICE": self._price(),
        }

    def _price(self) -> str:
        """The price of an instance as JSON; empty if the price table does not list it."""
        prices = prices_for(self._settings)
        per_hour = prices.instance_hour.get(self._settings.batch_instance_type)
        if per_hour is None:
            return ""
        as_of = prices.as_of.isoformat()
        return json.dumps({"per_hour": per_hour, "currency": prices.currency, "as_of": as_of})

    def _allow_objects(self, bucket: s3.IBucket, artifacts: s3.IBucket) -> None:
        """By prefix: the function reads input and never writes it."""
        bucket_arn = exported_bucket_arn(bucket)
        allow = self._function.allow

        def below(*prefixes: str) -> dict[str, str]:
            return {
                f"{bucket_arn}/{prefix}*": "Objects are named by the batch's id or its caller."
                for prefix in prefixes
            }

        # What requests may name besides the batch bucket.
        locations = {
            s3_arn(self, f"{uri}*"): "The settings allow every object below this prefix, in"
            " batch.input_locations."
            for uri in self._settings.batch.input_locations
        }

        # Without ListBucket, S3 answers 403 for an object that does not exist.
        allow(["s3:ListBucket"], [bucket_arn])
        # It reads the version that was asked for. Only other buckets may keep none.
        allow(["s3:GetObjectVersion"], below(INPUT_PREFIX) | locations)
        if self._settings.search.has_vector_index:
            artifacts_arn = exported_bucket_arn(artifacts)
            corpora = {f"{artifacts_arn}/{INDEXES_PREFIX}*": "Indexes are named by their hashes."}
            allow(["s3:GetObjectVersion"], corpora)
        allow(["s3:GetObject"], below(REQUESTS_PREFIX, OUTPUT_PREFIX) | locations)
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], below(SHARDS_PREFIX, OUTPUT_PREFIX))
        # A merge continues where the previous invocation stopped.
        allow(["s3:ListMultipartUploadParts"], below(OUTPUT_PREFIX))

    def _parameters(self) -> tuple[str, str]:
        names, gpu = self._settings.names, is_gpu(self._settings.batch_instance_type)
        return names.deployment_parameter, names.model_name_parameter(gpu=gpu)
