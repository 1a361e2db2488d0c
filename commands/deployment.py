"""Deploys or removes a stage with the real CDK (`make deploy`, `make destroy`)."""

from __future__ import annotations

import argparse

from commands.console import say
from commands.stack_states import remedy
from commands.target import Choice, Target, add_target_arguments, choose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where, and whether to ask."""
    add_target_arguments(parser)
    parser.add_argument(
        "--yes", action="store_true", help="ask nothing: what changes was reviewed elsewhere"
    )


def run(options: argparse.Namespace) -> int:
    """Returns the exit status of the CDK."""
    target, choice = choose(options)
    command = deploy if options.command == "deploy" else destroy
    return command(target, choice, ask=not options.yes)


def deploy(target: Target, choice: Choice, *, ask: bool) -> int:
    """ask: before a change that grants more, as the CDK does; never on the local AWS."""
    if target.local is not None:
        from commands import local_app

        status = local_app.deploy(target.local, choice)
    else:
        approval = [] if ask else ["--require-approval", "never"]
        status = target.cdk("deploy", "--all", *approval, *choice.context_options)
        if status:
            _print_remedies(target, choice)
    if status == 0 and choice.settings.search.has_vector_index:
        from commands import index_load

        index_load.go_on(target, choice.settings)
    return status


def destroy(target: Target, choice: Choice, *, ask: bool) -> int:
    """ask: before anything is removed; never on the local AWS."""
    if target.local is not None:
        from commands import local_app

        return local_app.destroy(target.local, choice)
    force = [] if ask else ["--force"]
    return target.cdk("destroy", "--all", *force, *choice.context_options)


def _print_remedies(target: Target, choice: Choice) -> None:
    """What the next deployment needs first, where a failed one left something to do."""
    from botocore.exceptions import BotoCoreError, ClientError

    for part in choice.settings.stacks:
        name = choice.settings.names.stack(part)
        try:
            stack = target.find_stack(name)
        except (BotoCoreError, ClientError):
            return  # the CDK has said what is wrong
        if stack and (needed := remedy(stack)):
            say(f"{name} ({stack['StackStatus']}): {needed}", style="bold")
