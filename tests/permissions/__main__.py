"""`python -m tests.permissions`: deploys, and denies what roles and deployer use, one by one.

Each denial must make something fail by a refusal of the very action. It takes half an hour.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from commands.walkthrough import read_policy
from local_aws.iam.mutation import Mutation, Outcome
from local_aws.iam.policies import as_list
from local_aws.iam.report import Reasons, read, render
from tests.end_to_end.local_app import ROOT, LocalApp
from tests.permissions.deployer import POLICY, ROLE, STAGE, UNTRIED, Deployer
from tests.permissions.exercise import Exercise

ACCOUNT = "123456789012"
REASONS = ROOT / "stacks/unused_grants.toml"
# The second Foundation stack is there only to be removed.
STAGE_ROLES = re.compile("^FaqSearch-local-(?!Foundation2-)")
# CloudFormation's own role may do everything: what it does depends on the templates alone.
DEPLOYING_ROLES = re.compile(f"^({ROLE}$|cdk-hnb659fds-(?!cfn-exec-role))")

Parts = Mapping[str, Callable[[], None]]


def main() -> int:
    """Prints an outcome a line; fails if a permission is needless, or its lack unnoticed."""
    parser = argparse.ArgumentParser(prog="tests.permissions", description=__doc__)
    parser.add_argument("--of", choices=("roles", "deployer"), help="default: both")
    parser.add_argument("--state", type=Path, help="of a running `make local`, if not a new one")
    parser.add_argument("--part", type=re.compile, default=re.compile(""), help="which parts")
    parser.add_argument("--role", type=re.compile, default=re.compile(""), help="which roles")
    parser.add_argument("--results", type=Path, help="a JSON file for the outcomes")
    options = parser.parse_args()
    problems: list[str] = []
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder, _app(options.state, Path(folder)) as app:
        if options.of != "deployer":
            outcomes += _try_roles(app, Path(folder), options, problems)
        if options.of != "roles":
            outcomes += _try_deployer(app, Path(folder), options, problems)
    summary = {**summarize(outcomes), "problems": problems}
    print(json.dumps(summary, indent=2))
    if options.results:
        options.results.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    # The CDK's roles are not ours; its command line goes on without some of what they may do.
    ours = [each for each in summary["survivors"] if " of cdk-" not in each]
    return int(bool(problems or ours))


@contextmanager
def _app(state: Path | None, folder: Path) -> Iterator[LocalApp]:
    """The local AWS to work on; a new one is stopped in the end."""
    if state is not None:
        yield LocalApp(state)
        return
    app = LocalApp(folder / "state").start()
    try:
        yield app
    finally:
        app.interrupt()


def _try_roles(
    app: LocalApp, folder: Path, options: argparse.Namespace, problems: list[str]
) -> list[Outcome]:
    """The roles of a stage."""
    parts = Exercise(app, folder).parts()
    mutation = _observed(app, parts, options, problems)
    report = read([app.state / "iam/decisions.jsonl"], STAGE_ROLES)
    reasons = Reasons.read(REASONS)
    print(*render(report, reasons), sep="\n", flush=True)
    problems += reasons.superfluous(report)
    if len(mutation.parts) == len(parts):
        problems += reasons.missing(report)
    return _deny(mutation, STAGE_ROLES, options)


def _try_deployer(
    app: LocalApp, folder: Path, options: argparse.Namespace, problems: list[str]
) -> list[Outcome]:
    """The deployer and the CDK's roles."""
    policy = read_policy(POLICY, STAGE, ACCOUNT, app.context.region)
    deployer = Deployer(app, folder, policy)
    deployer.deploy()
    parts = deployer.parts()
    mutation = _observed(app, parts, options, problems)
    outcomes = _deny(mutation, DEPLOYING_ROLES, options)
    deployer.destroy()
    if len(mutation.parts) == len(parts):
        used = {each.action for each in mutation.permissions() if each.role == ROLE}
        granted = {a for s in policy["Statement"] for a in as_list(s["Action"])}
        problems += [
            f"no command uses {action}" for action in sorted(granted - used - UNTRIED.keys())
        ]
        problems += [f"a command does use {action}" for action in sorted(used & UNTRIED.keys())]
    return outcomes


def _observed(
    app: LocalApp, parts: Parts, options: argparse.Namespace, problems: list[str]
) -> Mutation:
    chosen = {name: part for name, part in parts.items() if options.part.search(name)}
    mutation = Mutation(app.state, ACCOUNT, chosen)
    for name in mutation.observe():
        used = len(mutation.used[name])
        print(f"{name}: {mutation.seconds[name]:.1f} s, {used} permissions", flush=True)
    problems += [f"{name} fails undisturbed: {error}" for name, error in mutation.broken.items()]
    print(*problems, sep="\n", flush=True)
    return mutation


def _deny(mutation: Mutation, roles: re.Pattern[str], options: argparse.Namespace) -> list[Outcome]:
    wanted = [
        each
        for each in mutation.permissions()
        if roles.search(each.role) and options.role.search(each.role)
    ]
    outcomes = []
    for outcome in mutation.deny(wanted):
        outcomes.append(outcome)
        print(outcome, flush=True)
    return outcomes


def summarize(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """What the outcomes come to."""
    listed = list(outcomes)
    killed = [each for each in listed if not each.survived]
    return {
        "denied": len(listed),
        "killed_by_a_refusal": len(killed),
        "named_by_the_failure_itself": sum(each.named for each in killed),
        "by_role": dict(Counter(each.permission.role for each in listed)),
        "survivors": [f"{each}: {each.error}" for each in listed if each.survived],
    }


if __name__ == "__main__":
    sys.exit(main())
