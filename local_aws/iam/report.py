"""`python -m local_aws.iam.report FILE…`: which grants of roles were used, from recorded decisions.

The files are the `iam/decisions.jsonl` of local AWSes. Roles of the same name, but for
CloudFormation's suffix, count as one.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_aws.iam.conditions import wildcard
from local_aws.iam.policies import as_list

# What CloudFormation adds to the names of resources.
_SUFFIX = re.compile(r"-[A-Za-z0-9]{8,13}$")


@dataclass
class Grant:
    """An action, or a pattern of actions, that a statement of a role allows.

    Args:
        calls: How often each call was allowed by it.
        resources: By pattern of the statement: how often it was needed.
    """

    role: str
    policy: str
    action: str
    calls: Counter[str] = field(default_factory=Counter)


@dataclass
class Report:
    """What was decided, and what became of each grant."""

    allowed: int = 0
    denied: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    grants: dict[tuple[str, str, str], Grant] = field(default_factory=dict)

    @property
    def used(self) -> list[Grant]:
        """Grants that a call needed."""
        return [grant for grant in self.grants.values() if grant.calls]

    @property
    def unused(self) -> list[Grant]:
        """Grants that nothing needed."""
        return [grant for grant in self.grants.values() if not grant.calls]


def read(files: Iterable[Path]) -> Report:
    """Reads recorded decisions."""
    report = Report()
    for file in files:
        with file.open(encoding="utf-8") as lines:
            _add(report, (json.loads(line) for line in lines))
    return report


def _add(report: Report, lines: Iterator[dict[str, Any]]) -> None:
    # By label of a statement: its grants. Labels are those of one local AWS.
    statements: dict[str, list[Grant]] = defaultdict(list)
    for line in lines:
        if "policy" in line:
            for label, found in _grants(line["policy"], line["document"]):
                key = found.role, found.policy, found.action
                statements[label].append(report.grants.setdefault(key, found))
        elif line["allowed"]:
            report.allowed += 1
            for grant in statements.get(line["by"], []):
                if wildcard(grant.action, ignore_case=True).fullmatch(line["action"]):
                    grant.calls[f"{line['action']} ({line['call']})"] += 1
                    break
        else:
            report.denied[line["principal"], line["action"], line["resource"]] += 1


def _grants(label: str, document: dict[str, Any]) -> Iterator[tuple[str, Grant]]:
    kind, _, rest = label.partition("/")
    owner, _, policy = rest.rpartition("/")
    if kind != "role":
        return
    for number, statement in enumerate(document["Statement"]):
        if statement["Effect"] == "Allow":
            for action in as_list(statement.get("Action")):
                yield (
                    f"{label}#{number}",
                    Grant(_stable(owner), f"{_stable(policy)}#{number}", action),
                )


def _stable(name: str) -> str:
    return _SUFFIX.sub("", name)


def render(report: Report, role: re.Pattern[str]) -> Iterator[str]:
    """The report as lines, of the roles whose names match."""
    denied = sum(report.denied.values())
    yield f"{report.allowed + denied} decisions: {report.allowed} allowed, {denied} denied"
    for (principal, action, resource), count in sorted(report.denied.items()):
        yield f"  denied {count} times: {action} on {resource} to {principal}"
    shown = [grant for grant in report.grants.values() if role.search(grant.role)]
    used = sum(bool(grant.calls) for grant in shown)
    yield f"{len(shown)} grants: {used} used, {len(shown) - used} unused"
    for name in sorted({grant.role for grant in shown}):
        yield f"\n{name}"
        for grant in (grant for grant in shown if grant.role == name):
            calls = ", ".join(f"{call} x {n}" for call, n in grant.calls.most_common(3))
            yield f"  {grant.action}: {calls or 'UNUSED'}  [{grant.policy}]"


def main() -> int:
    """Prints the report."""
    parser = argparse.ArgumentParser(prog="local_aws.iam.report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="iam/decisions.jsonl of state folders")
    parser.add_argument(
        "--role", type=re.compile, default=re.compile(""), help="a regular expression"
    )
    options = parser.parse_args()
    sys.stdout.writelines(f"{line}\n" for line in render(read(options.files), options.role))
    return 0


if __name__ == "__main__":
    sys.exit(main())
