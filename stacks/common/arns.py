"""What `cdk bootstrap` made in the account and region of a stack."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct


def bootstrap_qualifier(scope: IConstruct) -> str:
    """The part that tells several bootstraps of one account apart."""
    return str(
        scope.node.try_get_context("@aws-cdk/core:bootstrapQualifier")
        or cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER
    )


def bootstrap_role_arn(scope: IConstruct, purpose: str) -> str:
    """ARN of a role that the CDK's command line assumes: `deploy`, `file-publishing`, `lookup`."""
    stack = cdk.Stack.of(scope)
    name = f"cdk-{bootstrap_qualifier(scope)}-{purpose}-role-{stack.account}-{stack.region}"
    return f"arn:{stack.partition}:iam::{stack.account}:role/{name}"


def bootstrap_version_arn(scope: IConstruct) -> str:
    """ARN of the SSM parameter that every template refers to."""
    return cdk.Stack.of(scope).format_arn(
        service="ssm",
        resource="parameter",
        resource_name=f"cdk-bootstrap/{bootstrap_qualifier(scope)}/version",
    )
