"""The resource policy of the REST API: from which accounts and by which way requests come."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam

from contract.names import API_STAGE
from stacks.front_door.console import PATH
from stage.settings import Settings

_INVOKE = "execute-api:Invoke"


def resource_policy(
    settings: Settings,
    operations: Sequence[tuple[str, str]],
    *,
    account: str,
    endpoint_id: str | None = None,
) -> iam.PolicyDocument | None:
    """The policy for `api.allowed_accounts` and of a private API; None without them.

    A private API answers only what its policy allows. Naming an account leaves to that account's
    policies who of it has the permission; naming anyone would let in whoever has signed. Methods
    without authorization, which have a policy to pass as soon as there is one, stay open.

    Args:
        operations: the methods, as verb and path.
        account: the stage's own.
        endpoint_id: the stage's VPC endpoint for a private API, which is reached through it, and
            through those of `api.allowed_vpc_endpoints`, alone.
    """
    accounts, others = [*settings.api.allowed_accounts], settings.api.allowed_vpc_endpoints
    if endpoint_id is not None and settings.api.auth == "iam":
        accounts = accounts or [account]
    statements = []
    if endpoint_id is not None:
        statements.append(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[_INVOKE],
                resources=[_arn("*")],
                conditions={
                    "StringNotEquals": {
                        "aws:SourceVpce": [endpoint_id, *others] if others else endpoint_id
                    }
                },
            )
        )
    if accounts:
        statements += _signed(settings, operations, accounts)
    elif endpoint_id is not None:
        # Callers have a key or a token instead, for which the methods ask.
        statements.append(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()], actions=[_INVOKE], resources=[_arn("*")]
            )
        )
    return iam.PolicyDocument(statements=statements) if statements else None


def _signed(
    settings: Settings, operations: Sequence[tuple[str, str]], accounts: Sequence[str]
) -> list[iam.PolicyStatement]:
    """Lets the accounts' signed requests in, and what needs no signature."""
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
    return statements


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
