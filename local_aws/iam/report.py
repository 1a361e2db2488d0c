"""`python -m local_aws.iam.report FILE…`: which grants of roles were used, from recorded decisions.

The files are the `iam/decisions.jsonl` of local AWSes. Roles of the same name, but for
CloudFormation's suffix, count as one. With `--reasons`, a file says why grants that nothing uses
stay: by logical id of the role and by action, or "*" for all of the role's. It then fails if an
unused grant has no reason, or a reason is for none.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_aws.iam.conditions import wildcard
from local_aws.iam.policies import as_list

# What CloudFormation adds to the names of resources.
_SUFFIX = re.compile(r"-[A-Za-z0-9]{8,13}$")
# It cuts a logical id, but not to less than this.
_LEAST = 20


@dataclass
class Grant:
    """An action, or a pattern of actions, that a statement of a role allows.

    Args:
        calls: How often each call was allowed by it.
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
    def unused(self) -> list[Grant]:
        """Grants that nothing needed."""
        return [grant for grant in self.grants.values() if not grant.calls]


class Reasons:
    """Why grants stay that nothing uses.

    Args:
        reasons: By logical id of a role, then by action, or "*".
    """

    def __init__(self, reasons: Mapping[str, Mapping[str, str]]) -> None:
        self.reasons = reasons

    @classmethod
    def read(cls, file: Path) -> Reasons:
        """Reads a file of reasons."""
        return cls(tomllib.loads(file.read_text(encoding="utf-8")))

    def of(self, grant: Grant) -> str | None:
        """The reason for a grant, if there is one."""
        found = self._of_role(grant.role)
        return found.get(grant.action, found.get("*"))

    def superfluous(self, report: Report) -> list[str]:
        """What is given a reason although something uses it: "role: action" of each."""
        return sorted(
            f"{grant.role}: {grant.action}"
            for grant in report.grants.values()
            if grant.calls and grant.action in self._of_role(grant.role)
        )

    def missing(self, report: Report) -> list[str]:
        """What nothing uses and has no reason: "role: action" of each."""
        return sorted(
            f"{grant.role}: {grant.action}" for grant in report.unused if not self.of(grant)
        )

    def _of_role(self, name: str) -> Mapping[str, str]:
        # "Stack-LogicalId", of which CloudFormation may have cut off the end.
        logical_id = name.rpartition("-")[2]
        return next(
            (
                reasons
                for role, reasons in self.reasons.items()
                if role == logical_id or (len(logical_id) >= _LEAST and role.startswith(logical_id))
            ),
            {},
        )


def read(files: Iterable[Path], role: re.Pattern[str] = re.compile("")) -> Report:
    """Reads recorded decisions: all of them, and the grants of the roles whose names match."""
    report = Report()
    for file in files:
        with file.open(encoding="utf-8") as lines:
            _add(report, (json.loads(line) for line in lines))
    report.grants = {key: g for key, g in report.grants.items() if role.search(g.role)}
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
                    Grant(stable(owner), f"{stable(policy)}#{number}", action),
                )


def stable(name: str) -> str:
    """A resource's name without CloudFormation's suffix."""
    return _SUFFIX.sub("", name)


def render(report: Report, reasons: Reasons | None = None) -> Iterator[str]:
    """The report as lines."""
    denied = sum(report.denied.values())
    yield f"{report.allowed + denied} decisions: {report.allowed} allowed, {denied} denied"
    for (principal, action, resource), count in sorted(report.denied.items()):
        yield f"  denied {count} times: {action} on {resource} to {principal}"
    shown, unused = list(report.grants.values()), len(report.unused)
    yield f"{len(shown)} grants: {len(shown) - unused} used, {unused} unused"
    for name in sorted({grant.role for grant in shown}):
        yield f"\n{name}"
        for grant in (grant for grant in shown if grant.role == name):
            calls = ", ".join(f"{call} x {n}" for call, n in grant.calls.most_common(3))
            yield f"  {grant.action}: {calls or 'UNUSED'}  [{grant.policy}]"
            if not calls and reasons and (reason := reasons.of(grant)):
                yield f"    stays: {reason}"
    if reasons:
        yield ""
        yield from (f"has a reason, but is used: {each}" for each in reasons.superfluous(report))
        yield from (f"unused, without a reason: {each}" for each in reasons.missing(report))


def main() -> int:
    """Prints the report."""
    parser = argparse.ArgumentParser(prog="local_aws.iam.report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="iam/decisions.jsonl of state folders")
    parser.add_argument(
        "--role", type=re.compile, default=re.compile(""), help="a regular expression"
    )
    parser.add_argument("--reasons", type=Path, help="a TOML file")
    options = parser.parse_args()
    report = read(options.files, options.role)
    reasons = Reasons.read(options.reasons) if options.reasons else None
    sys.stdout.writelines(f"{line}\n" for line in render(report, reasons))
    return int(bool(reasons and (reasons.superfluous(report) or reasons.missing(report))))


if __name__ == "__main__":
    sys.exit(main())
