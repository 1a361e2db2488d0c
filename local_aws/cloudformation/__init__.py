"""CloudFormation: templates, change sets and the engine that applies them."""

from __future__ import annotations

from local_aws.cloudformation.api import CloudFormation

__all__ = ["CloudFormation"]
