"""What becomes of data and logs when their stack goes."""

from __future__ import annotations

import aws_cdk as cdk

from stage.settings import Settings


def removal_policy(settings: Settings) -> cdk.RemovalPolicy:
    """The stage's one policy. Not in the settings: reading those must not start the CDK."""
    return cdk.RemovalPolicy(settings.removal_policy.upper())
