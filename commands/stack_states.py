"""What a stack's state allows, and what to do about one that cannot be updated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SETTLED = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}


def remedy(stack: Mapping[str, Any]) -> str:
    """What to do before the stack can be updated, in a sentence; empty if it can be.

    Args:
        stack: as DescribeStacks describes it.
    """
    name, status = stack["StackName"], stack["StackStatus"]
    if status in _SETTLED:
        return ""
    if status.endswith("IN_PROGRESS"):
        return "It is being changed; try again once that has finished."
    if status == "UPDATE_ROLLBACK_FAILED":
        return (
            "Fix what its events name, then: aws cloudformation continue-update-rollback"
            f" --stack-name {name} (docs/operations.md)."
        )
    # The CDK's command line protects a stack before its first deployment has succeeded.
    unprotect = (
        "aws cloudformation update-termination-protection --no-enable-termination-protection"
        f" --stack-name {name} && "
        if stack.get("EnableTerminationProtection")
        else ""
    )
    return (
        f"Its creation or removal failed; delete it: {unprotect}aws cloudformation delete-stack"
        f" --stack-name {name}"
    )
