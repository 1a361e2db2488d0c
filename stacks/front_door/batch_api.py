"""The function behind the batch routes of the REST API."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from contract.batch_objects import (
    INPUT_PREFIX,
    OUTPUT_PREFIX,
    REQUESTS_PREFIX,
    SLOTS_PREFIX,
    UPLOADS_PREFIX,
)
from contract.names import APP_NAME
from stacks.common.arns import (
    executions_arn,
    exported_bucket_arn,
    s3_arn,
    state_machine_arn,
    transform_job_arn,
)
from stacks.common.python_function import PythonFunction
from stacks.foundation.stack import FoundationStack
from stage.settings import Settings

# API Gateway gives up after 29 s.
_FUNCTION_SECONDS = 28


class BatchApi(Construct):
    """Knows state machine and transform jobs by their fixed names, the bucket by reference.

    Attributes:
        function: the function itself.
        alias: what the API's methods call.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        layer: lambda_.ILayerVersion,
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        bucket, limits = foundation.storage.batch, settings.batch
        self.function = PythonFunction(
            self,
            "Function",
            handler="batch.api.handler.handler",
            description="Answers the batch routes of the REST API",
            timeout=cdk.Duration.seconds(_FUNCTION_SECONDS),
            memory_mb=1024,
            tracing=True,
            layers=[layer],
            environment={
                "APP_STAGE": settings.stage,
                "BATCH_BUCKET": bucket.bucket_name,
                "STATE_MACHINE_ARN": state_machine_arn(self, settings.names.batch_workflow),
                "TRANSFORM_JOB_PREFIX": settings.names.prefix,
                "INPUT_LOCATIONS": json.dumps(limits.input_locations),
                "INSTANCE_COUNT": str(limits.instance_count),
                "MAX_INSTANCE_COUNT": str(limits.max_instance_count),
                "MAX_INSTANCES": str(limits.most_instances),
                "MAX_INSTANCES_PER_CALLER": str(limits.most_instances_per_caller),
                "MAX_RUNNING": str(limits.max_running),
                "MAX_RUNNING_PER_CALLER": str(limits.max_running_per_caller),
                "API_AUTH": settings.api.auth,
                "CALLERS": json.dumps(limits.callers),
                "ADMINISTRATORS": json.dumps(limits.administrators),
                "CORS_ORIGINS": json.dumps(settings.api.cors_origins),
                "POWERTOOLS_SERVICE_NAME": APP_NAME,
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )
        self._allow_objects(self.function, exported_bucket_arn(bucket))
        self.function.allow(["kms:Decrypt", "kms:GenerateDataKey"], [foundation.key.key_arn])
        self._allow_work(self.function)
        self.alias = self.function.publish(snap_start=settings.api.snap_start)

    def _allow_objects(self, function: PythonFunction, bucket_arn: str) -> None:
        # Without ListBucket, S3 answers 403 for an object that does not exist.
        function.allow(["s3:ListBucket"], [bucket_arn])
        function.allow(
            ["s3:PutObject"],
            {
                f"{bucket_arn}/{UPLOADS_PREFIX}*": "Uploads are named by their batches' ids.",
                f"{bucket_arn}/{REQUESTS_PREFIX}*": "Requests are named by their batches' ids.",
            },
        )
        function.allow(
            ["s3:DeleteObject"],
            {f"{bucket_arn}/{SLOTS_PREFIX}*": "Slots are named by their batches' owners and ids."},
        )
        places = {
            f"{bucket_arn}/{INPUT_PREFIX}*": "Callers name the files they put there.",
            f"{bucket_arn}/{OUTPUT_PREFIX}*": "Results are named by their batches' ids.",
            f"{bucket_arn}/{REQUESTS_PREFIX}*": "Requests are named by their batches' ids.",
        }
        for location in self._settings.batch.input_locations:
            places[s3_arn(self, f"{location}*")] = "The settings let callers name files there."
        function.allow(["s3:GetObject"], places)

    def _allow_work(self, function: PythonFunction) -> None:
        names = self._settings.names
        workflow = names.batch_workflow
        function.allow(["states:StartExecution"], [state_machine_arn(self, workflow)])
        function.allow(
            ["states:DescribeExecution", "states:StopExecution"],
            {executions_arn(self, workflow): "Executions are named by their batches' ids."},
        )
        jobs = transform_job_arn(self, f"{names.prefix}-*")
        function.allow(
            ["sagemaker:DescribeTransformJob", "sagemaker:StopTransformJob"],
            {jobs: "This stage's jobs are named by prefix, batch and attempt."},
        )
