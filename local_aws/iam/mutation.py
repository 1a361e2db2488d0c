"""Whether something needs each permission: denies one after the other on a running local AWS.

What runs meanwhile comes in parts. Each part runs once undisturbed, which shows what it uses. Then
each action of a role that it used is denied to that role while the part runs again: it should fail,
and the local AWS should have refused that action. A denial that nothing notices survives.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from local_aws.iam.report import stable

# A part that takes longer is not tried undisturbed after each denial, only after the last.
_QUICK_SECONDS = 3.0


@dataclass(frozen=True, order=True)
class Permission:
    """An action that a role was allowed by its own policies.

    Args:
        role: Without CloudFormation's suffix, which differs between deployments.
    """

    role: str
    action: str

    def __str__(self) -> str:
        return f"{self.action} of {self.role}"


@dataclass(frozen=True)
class Outcome:
    """What became of a part while a permission was denied.

    Args:
        refused: Whether the local AWS refused the action to the role meanwhile.
        error: How the part failed; None if it did not.
        recovers: Whether the part works again without the denial.
    """

    permission: Permission
    part: str
    refused: bool
    error: str | None
    recovers: bool = True

    @property
    def survived(self) -> bool:
        """Whether the part needs no such permission, or fails without it for another reason."""
        return not (self.refused and self.error is not None and self.recovers)

    @property
    def named(self) -> bool:
        """Whether the failure itself names the action, besides the local AWS's record."""
        return self.permission.action in (self.error or "")

    def __str__(self) -> str:
        if not self.survived:
            words = "refused by name" if self.named else "refused"
        elif not self.recovers:
            words = "FAILS WITHOUT THE DENIAL, TOO"
        else:
            words = "SURVIVED, refused but unnoticed" if self.refused else "SURVIVED, unused"
        return f"{words}: {self.permission} [{self.part}]"


@dataclass
class Mutation:
    """The parts, and what they use.

    Args:
        state: The state folder of the running local AWS.
        account: Its account.
        parts: By name; each raises an exception if it does not work.

    Attributes:
        used: What each part used when nothing was denied.
        seconds: How long each part took.
        broken: How parts failed although nothing was denied; they are left out.
    """

    state: Path
    account: str
    parts: Mapping[str, Callable[[], None]]
    used: dict[str, set[Permission]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def observe(self) -> Iterator[str]:
        """Runs each part undisturbed, so that it is known what it uses; yields its name."""
        for name, part in self.parts.items():
            before, began = self._size(), time.monotonic()
            if error := _error_of(part):
                self.broken[name] = error
                continue
            self.seconds[name] = time.monotonic() - began
            self.used[name] = {
                Permission(stable(line["role"]), line["action"])
                for line in self._decisions(before)
                if line["allowed"] and line["role"] and line["by"].startswith("role/")
            }
            yield name

    def permissions(self) -> list[Permission]:
        """Everything that the parts use."""
        return sorted({each for used in self.used.values() for each in used})

    def deny(self, permissions: Collection[Permission]) -> Iterator[Outcome]:
        """The outcome for each permission, part by part.

        A denial that the quickest part survives is tried with the others that use the permission.
        """
        left = set(permissions)
        for name in sorted(self.seconds, key=self.seconds.__getitem__):
            tried = sorted(left & self.used[name])
            if tried:
                for outcome in self._try(name, tried):
                    is_last = not any(
                        outcome.permission in self.used[other]
                        for other in self.seconds
                        if self.seconds[other] > self.seconds[name]
                    )
                    if is_last or not outcome.survived:
                        left.discard(outcome.permission)
                        yield outcome

    def _try(self, name: str, permissions: Sequence[Permission]) -> Iterator[Outcome]:
        part, check_each = self.parts[name], self.seconds[name] < _QUICK_SECONDS
        waiting: list[Outcome] = []
        for number, permission in enumerate(permissions, 1):
            before = self._size()
            with denied(self.state, _denial(permission, self.account)):
                error = _error_of(part)
            refused = any(
                line["by"] == "guardrail#0"
                and line["action"] == permission.action
                and stable(line["role"] or "") == permission.role
                for line in self._decisions(before)
            )
            waiting.append(Outcome(permission, name, refused, error))
            if check_each or number == len(permissions):
                recovers = _error_of(part) is None
                yield from (replace(each, recovers=recovers) for each in waiting)
                waiting.clear()

    def _size(self) -> int:
        return (self.state / "iam" / "decisions.jsonl").stat().st_size

    def _decisions(self, since: int) -> Iterator[dict[str, Any]]:
        with (self.state / "iam" / "decisions.jsonl").open(encoding="utf-8") as lines:
            lines.seek(since)
            found = [json.loads(line) for line in lines]
        yield from (line for line in found if "allowed" in line)


@contextmanager
def denied(state: Path, *statements: Mapping[str, Any]) -> Iterator[None]:
    """Denies something on a running local AWS for as long as the context lasts."""
    guardrail = state / "iam" / "guardrail.json"
    # At once, so that nothing reads half of it.
    whole = guardrail.with_suffix(".new")
    whole.write_text(json.dumps({"Statement": list(statements)}), encoding="utf-8")
    whole.replace(guardrail)
    try:
        yield
    finally:
        guardrail.unlink()


def _denial(permission: Permission, account: str) -> dict[str, Any]:
    roles = f"arn:aws:iam::{account}:role/{permission.role}*"
    return {
        "Effect": "Deny",
        "Action": permission.action,
        "Resource": "*",
        "Condition": {"ArnLike": {"aws:PrincipalArn": roles}},
    }


def _error_of(part: Callable[[], None]) -> str | None:
    try:
        part()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
