"""Before a deploy to AWS: what would make it fail, told now (`make preflight STAGE=dev`).

Every call reads; nothing is created.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from botocore.exceptions import BotoCoreError
from rich.text import Text

from commands.cdk_cli import console
from commands.local_state import LocalError
from commands.preflight_checks import CHECKS, Client, Finding, credentials
from commands.target import add_options, choose
from stage.settings import Settings, SettingsError

_MARKS = {"ok": ("✓", "green"), "failed": ("✗", "red"), "unknown": ("?", "yellow")}


def main() -> int:
    """Prints each finding as it is made; returns 1 where something must be mended first."""
    parser = argparse.ArgumentParser(
        prog="commands.preflight", description="What would make a deploy to AWS fail."
    )
    add_options(parser)
    options = parser.parse_args()
    try:
        target, choice = choose(options)
    except (SettingsError, LocalError) as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    return report(examine(choice.settings, target.client))


def examine(settings: Settings, client: Client) -> Iterator[Finding]:
    """Every finding; without credentials only that there are none."""
    for finding in credentials(settings, client):
        yield finding
        if finding.state == "failed":
            return
    for check in CHECKS:
        try:
            yield from check(settings, client)
        except BotoCoreError as error:  # no such region, no network
            yield Finding(check.__name__.replace("_", " "), "unknown", str(error))


def report(findings: Iterable[Finding]) -> int:
    """Prints the findings; returns 1 where one failed, else 0."""
    states = []
    for finding in findings:
        states.append(finding.state)
        mark, style = _MARKS[finding.state]
        console.print(Text(f"{mark} ", style), Text(f"{finding.subject}: {finding.told}"), sep="")
        if finding.remedy:
            console.print(Text(f"    {finding.remedy}", "bold"))
    failed, unknown = states.count("failed"), states.count("unknown")
    if failed:
        console.print(f"{failed} to mend before a deploy.", style="red")
    elif unknown:
        console.print(f"Nothing is known to be wrong; {unknown} could not be checked.")
    else:
        console.print("Ready to deploy.", style="green")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
