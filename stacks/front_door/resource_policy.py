"""The resource policy of the REST API: from which accounts signed requests may come."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam

from contract.names import API_STAGE
from stacks.front_door.console import PATH
from stage.settings import Settings

_INVOKE = "execute-api:Invoke"


def resource_policy(
    settings: Settings, operations: Sequence[tuple[str, str]]
) -> iam.PolicyDocument | None:
    """The policy for `api.allowed_accounts`; None without it.

    Naming an account leaves to that account's policies who of it has the permission. Methods
    without authorization, which have a policy to pass as soon as there is one, stay open.

    Args:
        operations: the signed methods, as verb and path.
    """
    accounts = settings.api.allowed_accounts
    if not accounts:
        return None
    signed = [_arn(f"{verb}{_wildcards(path)}") for verb, path in operations]
    statements = [
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=[_INVOKE],
            resources=signed,
            # Of nobody who has not signed either.
            conditions={"StringNotEquals": {"aws:PrincipalAccount": [*accounts]}},
        ),
        iam.PolicyStatement(
            principals=[iam.AccountPrincipal(account) for account in accounts],
            actions=[_INVOKE],
            resources=signed,
        ),
    ]
    if unsigned := _unsigned(settings):
        statements.append(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()], actions=[_INVOKE], resources=unsigned
            )
        )
    return iam.PolicyDocument(statements=statements)


def _unsigned(settings: Settings) -> list[str]:
    found = []
    if settings.api.console:
        found += [_arn(f"GET/{PATH}"), _arn(f"GET/{PATH}/*")]
    if settings.api.cors_origins:
        found.append(_arn("OPTIONS/*"))
    return found


def _arn(method: str) -> str:
    """A method in the short form that API Gateway completes."""
    return f"execute-api:/{API_STAGE}/{method}"


def _wildcards(path: str) -> str:
    """`/batch/{batch_id}` -> `/batch/*`"""
    return "/".join("*" if part.startswith("{") else part for part in path.split("/"))
