"""Policy documents: what their statements match, and what several of them decide together.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from local_aws.iam.conditions import (
    Keys,
    NotEvaluatedError,
    arn_matches,
    conditions_hold,
    fill_in,
    wildcard,
)
from local_aws.iam.principals import Principal

_ROOT = re.compile(r"arn:aws:iam::(?P<account>\d{12}):root|(?P<number>\d{12})")
# The elements of a statement that are evaluated; another one is refused by name.
_ELEMENTS = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"} | {
    "Resource",
    "NotResource",
    "Condition",
}


def as_list(value: Any) -> list[Any]:
    """A policy's element as a list, which a single value may stand for."""
    return value if isinstance(value, list) else [] if value is None else [value]


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        action: E.g. "s3:PutObject".
        resource: An ARN, or "*" for an action that has no resource.
        account: Of the resource.
        keys: The condition keys that have values.
    """

    principal: Principal
    action: str
    resource: str
    account: str
    keys: Keys


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement of a policy."""

    body: Mapping[str, Any]
    _known: dict[str, bool] = field(default_factory=dict)

    @property
    def denies(self) -> bool:
        """Whether it is a Deny."""
        return bool(self.body["Effect"] == "Deny")

    @cached_property
    def actions(self) -> list[str]:
        """Patterns of the actions that it names; those it excludes, for a NotAction."""
        return as_list(self.body.get("Action", self.body.get("NotAction")))

    def covers_action(self, action: str) -> bool:
        """Whether it is about the action."""
        if action not in self._known:
            named = any(wildcard(p, ignore_case=True).fullmatch(action) for p in self.actions)
            self._known[action] = named != ("NotAction" in self.body)
        return self._known[action]

    def applies(self, request: Request) -> bool:
        """Whether it is about action, resource and principal, and its conditions hold."""
        if not self.covers_action(request.action) or not self._covers_resource(request):
            return False
        if self.body.keys() & {"Principal", "NotPrincipal"} and not self.names(request.principal):
            return False
        unknown = self.body.keys() - _ELEMENTS
        if unknown:
            raise NotEvaluatedError(f"the policy element {', '.join(sorted(unknown))}")
        return conditions_hold(self.body.get("Condition") or {}, request.keys)

    def _covers_resource(self, request: Request) -> bool:
        element = "NotResource" if "NotResource" in self.body else "Resource"
        if element not in self.body:  # a trust policy's: the role it belongs to
            return True
        named = any(
            _names_resource(p, request.resource, request.keys) for p in as_list(self.body[element])
        )
        return named != (element == "NotResource")

    def names(self, principal: Principal) -> str:
        """How it is about the principal: "directly", "account" (as one of many) or "" (not).

        A statement for a whole account leaves the choice of principals to that account's own
        policies.
        """
        if "NotPrincipal" in self.body:
            found = _named(self.body["NotPrincipal"], principal)
            return "" if found else "directly"
        return _named(self.body.get("Principal"), principal)


def _names_resource(pattern: str, resource: str, keys: Keys) -> bool:
    try:
        return arn_matches(fill_in(pattern, keys), resource)
    except ValueError:
        return False


def _named(element: Any, principal: Principal) -> str:
    if element == "*":
        return "directly"
    found = ""
    for kind, values in (element or {}).items():
        for value in as_list(values):
            if kind == "Service":
                if value == principal.service:
                    return "directly"
            elif kind == "AWS":
                if value == "*" or value in principal.arns:
                    return "directly"
                root = _ROOT.fullmatch(value)
                if root and principal.account in root.groups():
                    found = "account"
            else:
                raise NotEvaluatedError(f"the principal type {kind}")
    return found


@dataclass(frozen=True, eq=False)
class Policy:
    """A policy document.

    Args:
        name: Says where it is, e.g. "role/Name/inline policy".
        statements: In the document's order.
    """

    name: str
    statements: Sequence[Statement]

    @classmethod
    def parse(cls, name: str, document: str) -> Policy:
        """Reads a document, each text only once."""
        return cls(name, _statements(document))

    def applying(self, request: Request, *, deny: bool) -> Iterable[tuple[str, Statement]]:
        """The Deny or Allow statements that apply, each with a label."""
        for number, statement in enumerate(self.statements):
            if statement.denies == deny and statement.applies(request):
                yield f"{self.name}#{number}", statement


@lru_cache(maxsize=4096)
def _statements(document: str) -> tuple[Statement, ...]:
    parsed = json.loads(document)
    return tuple(Statement(body) for body in as_list(parsed.get("Statement")))


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed.

    Args:
        by: The statement that decided, as policy#number; "" if none applied.
        reason: Of a refusal, in AWS's words.
    """

    allowed: bool
    by: str
    reason: str = ""


def decide(
    request: Request,
    *,
    identity: Sequence[Policy],
    resource: Policy | None = None,
    resource_must_allow: bool = False,
    guardrail: Policy | None = None,
) -> Decision:
    """Decides as AWS does, without boundaries and session policies, which the caller refuses.

    Args:
        identity: The policies of the principal.
        resource: The policy of the resource, if it has one.
        resource_must_allow: Whether the identity's policies suffice only if the resource's policy
            lets the account decide, as with KMS keys and roles.
        guardrail: Denies whomever it applies to, as a service control policy would.
    """
    denial = _denial(request, identity, resource, guardrail)
    if denial is not None:
        return denial
    direct, delegated = "", ""
    for label, statement in resource.applying(request, deny=False) if resource else ():
        how = statement.names(request.principal)
        direct = direct or (label if how == "directly" else "")
        delegated = delegated or (label if how == "account" else "")
    own = next(
        (label for policy in identity for label, _ in policy.applying(request, deny=False)), ""
    )
    same_account = request.principal.account == request.account
    if direct and (same_account or request.principal.service):
        # Both may allow it; then the report counts the principal's own grant as used.
        return Decision(True, own or direct)
    if own and ((same_account and not resource_must_allow) or direct or delegated):
        return Decision(True, own)
    kind = "identity-based" if not own and not request.principal.service else "resource-based"
    if resource_must_allow and not delegated and not direct:
        kind = "resource-based"
    if request.action == "sts:AssumeRole" and kind == "resource-based":
        kind = "role trust"
    return Decision(False, "", f"because no {kind} policy allows the {request.action} action")


def _denial(
    request: Request,
    identity: Sequence[Policy],
    resource: Policy | None,
    guardrail: Policy | None,
) -> Decision | None:
    kinds = [
        *(("an identity-based", policy) for policy in identity),
        *([("a service control", guardrail)] if guardrail else []),
        *([("a resource-based", resource)] if resource else []),
    ]
    for kind, policy in kinds:
        for label, _ in policy.applying(request, deny=True):
            return Decision(False, label, f"with an explicit deny in {kind} policy")
    return None
