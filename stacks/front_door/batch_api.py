"""The function behind the batch routes of the REST API."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from contract.names import APP_NAME
from stacks.common.policies import wildcards
from stacks.common.python_function import PythonFunction
from stacks.common.retention import removal_policy
from stacks.foundation.stack import FoundationStack
from stage.settings import Settings

# API Gateway gives up after 29 s.
_FUNCTION_SECONDS = 28


class BatchApi(Construct):
    """Knows state machine and transform jobs by their fixed names, the bucket by reference."""

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
        self._prefix = settings.names.prefix
        bucket = foundation.storage.batch
        function = PythonFunction(
            self,
            "Function",
            handler="batch.api.handler.handler",
            description="Answers the batch routes of the REST API",
            timeout=cdk.Duration.seconds(_FUNCTION_SECONDS),
            memory_mb=1024,
            removal_policy=removal_policy(settings),
            tracing=True,
            layers=[layer],
            environment={
                "APP_STAGE": settings.stage,
                "BATCH_BUCKET": bucket.bucket_name,
                "STATE_MACHINE_ARN": self._states_arn("stateMachine"),
                "TRANSFORM_JOB_PREFIX": self._prefix,
                "INPUT_LOCATIONS": json.dumps(settings.batch.input_locations),
                "INSTANCE_COUNT": str(settings.batch.instance_count),
                "MAX_INSTANCE_COUNT": str(settings.batch.max_instance_count),
                "POWERTOOLS_SERVICE_NAME": APP_NAME,
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )
        # The CDK would export this for the reference; doing it here fixes its name.
        self._allow_objects(function, foundation.export_value(bucket.bucket_arn))
        function.allow(["kms:Decrypt", "kms:GenerateDataKey"], [foundation.key.key_arn])
        self._allow_work(function)
        self.function = function.function

    def _allow_objects(self, function: PythonFunction, bucket_arn: str) -> None:
        function.allow(
            ["s3:ListBucket"], [bucket_arn]
        )  # without it, a missing object looks like a refusal
        function.allow(
            ["s3:PutObject"],
            wildcards(
                self,
                {
                    f"{bucket_arn}/input/uploads/*": "Uploads are named by their batches' ids.",
                    f"{bucket_arn}/requests/*": "So are requests.",
                },
            ),
        )
        places = {
            f"{bucket_arn}/input/*": "Callers name the files they put there.",
            f"{bucket_arn}/output/*": "Results are named by their batches' ids.",
            f"{bucket_arn}/requests/*": "So are requests.",
        }
        partition = cdk.Stack.of(self).partition
        for location in self._settings.batch.input_locations:
            arn = f"arn:{partition}:s3:::{location.removeprefix('s3://')}*"
            places[arn] = "The settings let callers name files there."
        function.allow(["s3:GetObject"], wildcards(self, places))

    def _allow_work(self, function: PythonFunction) -> None:
        stack = cdk.Stack.of(self)
        function.allow(["states:StartExecution"], [self._states_arn("stateMachine")])
        function.allow(
            ["states:DescribeExecution", "states:StopExecution"],
            wildcards(
                self,
                {f"{self._states_arn('execution')}:*": "Executions are named by batch ids."},
            ),
        )
        jobs = stack.format_arn(
            service="sagemaker", resource="transform-job", resource_name=f"{self._prefix}-*"
        )
        function.allow(
            ["sagemaker:DescribeTransformJob", "sagemaker:StopTransformJob"],
            wildcards(self, {jobs: "Jobs of this stage: prefix, batch id and attempt."}),
        )

    def _states_arn(self, resource: str) -> str:
        return cdk.Stack.of(self).format_arn(
            service="states",
            resource=resource,
            resource_name=f"{self._prefix}-batch",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
