"""Whether a custom resource's own stack is being rolled back."""

from __future__ import annotations

from botocore.client import BaseClient


def is_rolling_back(cloudformation: BaseClient, stack_id: str) -> bool:
    """Whether CloudFormation is undoing a deployment, when a failure would break the stack.

    Args:
        cloudformation: a boto3 client.
        stack_id: the StackId of the request.
    """
    stacks = cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
    status: str = stacks[0]["StackStatus"]
    return "ROLLBACK" in status
