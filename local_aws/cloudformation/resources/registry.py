"""The provider of each resource type."""

from __future__ import annotations

from local_aws.cloudformation.resources import (
    api_gateway,
    iam,
    lambda_functions,
    s3,
    sagemaker,
    small_services,
)
from local_aws.cloudformation.resources.base import NoEffect, Provider

PROVIDERS: dict[str, Provider] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": NoEffect(),
    "AWS::ApplicationAutoScaling::ScalingPolicy": NoEffect(),
    "AWS::Budgets::Budget": NoEffect(),
    "AWS::CDK::Metadata": NoEffect(),
    "AWS::CloudFormation::WaitConditionHandle": NoEffect(),
    "AWS::WAFv2::LoggingConfiguration": NoEffect(),
    "AWS::WAFv2::WebACL": NoEffect(),
    "AWS::WAFv2::WebACLAssociation": NoEffect(),
    **api_gateway.PROVIDERS,
    **iam.PROVIDERS,
    **lambda_functions.PROVIDERS,
    **s3.PROVIDERS,
    **sagemaker.PROVIDERS,
    **small_services.PROVIDERS,
}
