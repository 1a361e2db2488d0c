"""What CloudFormation is doing with a custom resource's own stack."""

from __future__ import annotations

import logging

from botocore.client import BaseClient

_log = logging.getLogger(__name__)


def stack_status(cloudformation: BaseClient, stack_id: str) -> str:
    """The stack's status, e.g. UPDATE_ROLLBACK_IN_PROGRESS."""
    status: str = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
    return status


def is_rolling_back(cloudformation: BaseClient, stack_id: str) -> bool:
    """Whether CloudFormation is undoing a deployment, when a failure would break the stack.

    A status that cannot be read counts as a deployment's: then failures are told.
    """
    try:
        return "ROLLBACK" in stack_status(cloudformation, stack_id)
    except Exception:
        _log.exception("The stack's status is unknown; taken for a deployment")
        return False


def is_going_away(cloudformation: BaseClient, stack_id: str) -> bool:
    """Whether the whole stack is being deleted, or its creation undone."""
    return stack_status(cloudformation, stack_id) in ("DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
