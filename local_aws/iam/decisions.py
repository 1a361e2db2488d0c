"""The record of every decision, in JSON lines, from which `report` says which grants were used."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from local_aws.iam.policies import Decision, Policy, Request


class Decisions:
    """Appends to `decisions.jsonl` in a folder.

    A line is a decision (principal, action, resource, allowed, by, call) or, once for each, a
    policy that a principal has (policy, document).
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "decisions.jsonl").open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._known: set[tuple[str, int]] = set()

    def record(self, request: Request, decision: Decision, call: str) -> None:
        """Adds a decision.

        Args:
            call: Which API call, or what else of the local AWS, asked for it.
        """
        principal = request.principal
        self._write(
            {
                "principal": principal.arn,
                "role": principal.role_name,
                "action": request.action,
                "resource": request.resource,
                "allowed": decision.allowed,
                "by": decision.by,
                "call": call,
            }
        )

    def note_policy(self, policy: Policy) -> None:
        """Adds a policy, unless it has been added."""
        known = policy.name, id(policy.statements)
        if known not in self._known:
            self._known.add(known)
            document = {"Statement": [dict(statement.body) for statement in policy.statements]}
            self._write({"policy": policy.name, "document": document})

    def close(self) -> None:
        """Writes no more."""
        with self._lock:
            self._file.close()

    def _write(self, line: dict[str, object]) -> None:
        text = json.dumps(line) + "\n"
        with self._lock:
            if not self._file.closed:
                self._file.write(text)
