"""Deploys or removes a stage with the real CDK (`make deploy`, `make destroy`)."""

from __future__ import annotations

import argparse
import sys

from commands import local_app
from commands.cdk_cli import Choice, console
from commands.local_state import LocalError
from commands.target import Target, add_options, choose
from stage.settings import SettingsError


def main() -> int:
    """Returns the exit status of the CDK."""
    parser = argparse.ArgumentParser(prog="commands.deployment", description="Deploy or remove.")
    parser.add_argument("command", choices=["deploy", "destroy"])
    add_options(parser)
    parser.add_argument(
        "--yes", action="store_true", help="ask nothing: what changes was reviewed elsewhere"
    )
    options = parser.parse_args()
    try:
        target, choice = choose(options)
        if options.command == "deploy":
            return deploy(target, choice, ask=not options.yes)
        return destroy(target, choice, ask=not options.yes)
    except (SettingsError, LocalError) as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def deploy(target: Target, choice: Choice, *, ask: bool) -> int:
    """ask: before a change that grants more, as the CDK does; the local AWS grants anything."""
    if target.local is not None:
        return local_app.deploy(target.local, choice)
    approval = [] if ask else ["--require-approval", "never"]
    return target.cdk("deploy", "--all", *approval, *choice.context_options)


def destroy(target: Target, choice: Choice, *, ask: bool) -> int:
    """ask: whether that is meant; of the local AWS it is."""
    if target.local is not None:
        return local_app.destroy(target.local, choice)
    force = [] if ask else ["--force"]
    return target.cdk("destroy", "--all", *force, *choice.context_options)


if __name__ == "__main__":
    sys.exit(main())
