"""Where the CDK publishes what a stack brings along."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct

from stacks.common.arns import bootstrap_qualifier


def published_assets_arn(scope: IConstruct) -> str:
    """ARN of the bucket that `cdk bootstrap` made in the stack's account and region."""
    stack = cdk.Stack.of(scope)
    qualifier = bootstrap_qualifier(scope)
    return f"arn:{stack.partition}:s3:::cdk-{qualifier}-assets-{stack.account}-{stack.region}"
