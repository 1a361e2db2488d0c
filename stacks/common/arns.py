"""ARNs of what a stack knows by name, in its own account and region."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import IConstruct


def endpoint_arn(scope: IConstruct, name: str) -> str:
    """A SageMaker endpoint."""
    return _arn(scope, "sagemaker", "endpoint", name)


def training_job_arn(scope: IConstruct, name: str) -> str:
    """A SageMaker training job."""
    return _arn(scope, "sagemaker", "training-job", name)


def transform_job_arn(scope: IConstruct, name: str) -> str:
    """A SageMaker batch transform job."""
    return _arn(scope, "sagemaker", "transform-job", name)


def sagemaker_arns(scope: IConstruct) -> str:
    """Everything of SageMaker."""
    stack = cdk.Stack.of(scope)
    return f"arn:{stack.partition}:sagemaker:{stack.region}:{stack.account}:*"


def parameter_arn(scope: IConstruct, name: str) -> str:
    """An SSM parameter, whose name begins with a slash."""
    return _arn(scope, "ssm", "parameter", name.removeprefix("/"))


def stack_arn(scope: IConstruct, name: str) -> str:
    """A CloudFormation stack: a pattern, since CloudFormation adds an id."""
    return _arn(scope, "cloudformation", "stack", f"{name}/*")


def state_machine_arn(scope: IConstruct, name: str) -> str:
    """A state machine."""
    return _arn(scope, "states", "stateMachine", name, cdk.ArnFormat.COLON_RESOURCE_NAME)


def executions_arn(scope: IConstruct, state_machine: str) -> str:
    """Every execution of a state machine."""
    name = f"{state_machine}:*"
    return _arn(scope, "states", "execution", name, cdk.ArnFormat.COLON_RESOURCE_NAME)


def vector_bucket_arn(scope: IConstruct, name: str) -> str:
    """A vector bucket of S3 Vectors."""
    return _arn(scope, "s3vectors", "bucket", name)


def vector_indexes_arn(scope: IConstruct, vector_bucket: str) -> str:
    """Every index of a vector bucket."""
    return f"{vector_bucket_arn(scope, vector_bucket)}/index/*"


def schedule_group_arn(scope: IConstruct, name: str) -> str:
    """A group of EventBridge Scheduler's schedules."""
    return _arn(scope, "scheduler", "schedule-group", name)


def log_group_arn(scope: IConstruct, name: str) -> str:
    """A log group."""
    stack = cdk.Stack.of(scope)
    return f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:{name}"


def s3_arn(scope: IConstruct, uri: str) -> str:
    """What an `s3://` URI names: a bucket, an object, or a pattern of objects."""
    return f"arn:{cdk.Stack.of(scope).partition}:s3:::{uri.removeprefix('s3://')}"


def exported_bucket_arn(bucket: s3.IBucket) -> str:
    """A bucket of another stack, by the export that the CDK would make of a reference.

    It is made here so that its name is known, for cdk-nag's reasons.
    """
    return cdk.Stack.of(bucket).export_value(bucket.bucket_arn)


def published_assets_arn(scope: IConstruct) -> str:
    """The bucket to which the CDK publishes what stacks bring along."""
    stack = cdk.Stack.of(scope)
    return s3_arn(scope, f"cdk-{_qualifier(scope)}-assets-{stack.account}-{stack.region}")


def bootstrap_role_arn(scope: IConstruct, purpose: str) -> str:
    """A role that the CDK's command line assumes: `deploy`, `file-publishing` or `lookup`."""
    stack = cdk.Stack.of(scope)
    name = f"cdk-{_qualifier(scope)}-{purpose}-role-{stack.account}-{stack.region}"
    return f"arn:{stack.partition}:iam::{stack.account}:role/{name}"


def bootstrap_version_arn(scope: IConstruct) -> str:
    """The SSM parameter that every template of the CDK refers to."""
    return parameter_arn(scope, f"/cdk-bootstrap/{_qualifier(scope)}/version")


def _qualifier(scope: IConstruct) -> str:
    """The part that tells several bootstraps of one account apart."""
    return str(
        scope.node.try_get_context("@aws-cdk/core:bootstrapQualifier")
        or cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER
    )


def _arn(
    scope: IConstruct,
    service: str,
    resource: str,
    name: str,
    arn_format: cdk.ArnFormat = cdk.ArnFormat.SLASH_RESOURCE_NAME,
) -> str:
    return cdk.Stack.of(scope).format_arn(
        service=service, resource=resource, resource_name=name, arn_format=arn_format
    )
