"""What API Gateway tells an authorizer, and what it takes from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class UnauthorizedError(Exception):
    """API Gateway answers 401 to an exception with exactly this text, and 500 to any other."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


def bearer_token(authorization: str | None) -> str:
    """The token in the value of the header `Authorization`; "" if there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def answer(
    event: Mapping[str, Any], principal: str, *, allow: bool = True, **members: object
) -> dict[str, Any]:
    """Lets the principal call every method of the event's API stage, or none.

    Args:
        event: what the authorizer was called with.
        members: more of the answer, such as `usageIdentifierKey` or `context`.
    """
    api, stage = event["methodArn"].split("/")[:2]
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow" if allow else "Deny",
        "Resource": f"{api}/{stage}/*",
    }
    return {
        "principalId": principal,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        **members,
    }
