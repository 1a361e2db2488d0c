"""Reasons for findings of cdk-nag, stated next to the resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import IConstruct


def acknowledge(scope: IConstruct, reasons: Mapping[str, str]) -> None:
    """Accepts findings of cdk-nag on `scope` and what it contains: id -> reason."""
    validations = cdk.Validations.of(scope)
    for finding, reason in reasons.items():
        validations.acknowledge(cdk.Acknowledgment(id=finding, reason=reason))


def wildcards(scope: IConstruct, reasons: Mapping[str, str]) -> list[str]:
    """ARNs with a `*`, for a statement of a role in `scope`: ARN -> why it needs the `*`.

    cdk-nag accepts each with its reason. A `*` without a reason fails the tests.
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


def statement(
    scope: IConstruct,
    actions: Sequence[str],
    resources: Sequence[str] | Mapping[str, str],
    conditions: Mapping[str, object] | None = None,
) -> iam.PolicyStatement:
    """A statement of a role in `scope`.

    Args:
        resources: ARNs; where they have a `*`, each with why it needs it (see `wildcards`).
    """
    return iam.PolicyStatement(
        actions=list(actions),
        resources=wildcards(scope, resources) if isinstance(resources, Mapping) else [*resources],
        conditions=conditions,
    )


def only_for(service: str, source_arn: str) -> iam.ServicePrincipal:
    """A service that assumes a role for a resource of this account and nothing else.

    Only for services of which AWS documents that they send both condition keys when they assume a
    role; without them no such role could be assumed. docs/security.md lists the others.

    Args:
        source_arn: what the service assumes the role for; may have a `*`.
    """
    return iam.ServicePrincipal(
        service,
        conditions={
            "StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": source_arn},
        },
    )


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
    raise ValueError(f"unknown how cdk-nag writes {arn!r}")
