"""`python -m local_aws.iam.mutation STATE -- COMMAND…`: whether something needs each used grant.

Denies one used grant of a role after the other on the running local AWS whose state folder this
is, and runs the command each time. It should fail by a refusal that names the action. A grant
whose denial nothing notices survives, and is listed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_aws.iam.report import Grant, read


@dataclass(frozen=True)
class Outcome:
    """What became of a command while a grant was denied.

    Args:
        refused: Whether the local AWS refused the action meanwhile.
        failed: Whether the command failed.
    """

    grant: Grant
    refused: bool
    failed: bool

    @property
    def survived(self) -> bool:
        """Whether the command needs no such grant, or fails without one for another reason."""
        return not (self.refused and self.failed)


def try_each(
    state: Path, grants: Iterable[Grant], command: Callable[[], bool], account: str
) -> Iterator[Outcome]:
    """Denies one grant after the other while `command` runs.

    Args:
        command: Whether it succeeded.
    """
    guardrail, decisions = state / "iam" / "guardrail.json", state / "iam" / "decisions.jsonl"
    for grant in grants:
        before = decisions.stat().st_size
        # At once, so that nothing reads half of it.
        whole = guardrail.with_suffix(".new")
        whole.write_text(_denial(grant, account), encoding="utf-8")
        whole.replace(guardrail)
        try:
            succeeded = command()
        finally:
            guardrail.unlink()
        with decisions.open(encoding="utf-8") as lines:
            lines.seek(before)
            refused = any(json.loads(line).get("by") == "guardrail#0" for line in lines)
        yield Outcome(grant, refused, not succeeded)


def _denial(grant: Grant, account: str) -> str:
    # CloudFormation's suffix differs between deployments.
    roles = f"arn:aws:iam::{account}:role/{grant.role}*"
    statement = {
        "Effect": "Deny",
        "Action": grant.action,
        "Resource": "*",
        "Condition": {"ArnLike": {"aws:PrincipalArn": roles}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _distinct(grants: Iterable[Grant]) -> list[Grant]:
    """One for each role and action: two statements may grant the same."""
    return list({(grant.role, grant.action): grant for grant in grants}.values())


def main() -> int:
    """Prints an outcome a line; fails if a grant survives."""
    parser = argparse.ArgumentParser(prog="local_aws.iam.mutation", description=__doc__)
    parser.add_argument("state", type=Path, help="the state folder, e.g. .local")
    parser.add_argument("--role", type=re.compile, default=re.compile(""), help="which roles")
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("command", nargs="+", help="after --; succeeds if all is well")
    options = parser.parse_args()

    def command() -> bool:
        return subprocess.run(options.command, check=False, capture_output=True).returncode == 0

    if not command():
        sys.exit("The command fails although nothing is denied.")
    used = read([options.state / "iam" / "decisions.jsonl"]).used
    grants = _distinct(grant for grant in used if options.role.search(grant.role))
    survivors = 0
    for outcome in try_each(options.state, grants, command, options.account):
        survivors += outcome.survived
        words = "survived" if outcome.survived else "noticed"
        if outcome.survived and outcome.refused:
            words = "refused, and nobody noticed"
        print(f"{words}: {outcome.grant.action} of {outcome.grant.role}", flush=True)
    print(f"{len(grants)} grants denied, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
