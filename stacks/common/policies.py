"""Reasons for what cdk-nag finds, kept beside the resources they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(scope: IConstruct, reasons: Mapping[str, str]) -> None:
    """Says why cdk-nag's findings on `scope`, or on what is in it, are meant: id -> reason."""
    validations = cdk.Validations.of(scope)
    for finding, reason in reasons.items():
        validations.acknowledge(cdk.Acknowledgment(id=finding, reason=reason))


def wildcards(scope: IConstruct, reasons: Mapping[str, str]) -> list[str]:
    """ARNs with a `*` in them, for a statement of a role in `scope`: ARN -> why it needs the `*`.

    The reason is acknowledged for cdk-nag, so that a `*` without one fails the tests.
    """
    stack = cdk.Stack.of(scope)
    acknowledge(
        scope,
        {
            f"AwsSolutions-IAM5[Resource::{_as_nag_writes(stack.resolve(arn))}]": reason
            for arn, reason in reasons.items()
        },
    )
    return list(reasons)


def _as_nag_writes(arn: Any) -> str:
    """A resolved ARN in cdk-nag's notation: references in angle brackets, imports by name."""
    match arn:
        case str():
            return arn
        case {"Fn::Join": ["", parts]}:
            return "".join(_as_nag_writes(part) for part in parts)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::ImportValue": export}:
            return str(export)
    raise ValueError(f"cdk-nag's notation for {arn!r} is not known here")
