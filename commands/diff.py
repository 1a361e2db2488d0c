"""What a deployment would change, for people: `cdk diff`, and what the change costs."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from commands.console import console, say, write
from commands.cost import (
    Estimate,
    deployed_estimate,
    difference_markdown,
    estimate,
    read_assembly,
)
from commands.target import Target, add_target_arguments, choose

if TYPE_CHECKING:
    from stage.prices import Prices

# A comment on a pull request may have 65,536 characters in all.
_MOST_DIFF = 50_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compare, and where to write it."""
    add_target_arguments(parser)
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write it there, as for a pull request; - is standard output",
    )
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="compare templates alone: no change set is made, so the right to read is enough",
    )


def run(options: argparse.Namespace) -> int:
    """Prints or writes the comparison; returns the exit status of the CDK."""
    target, choice = choose(options)
    from rich.markdown import Markdown

    from stage.prices import prices_for

    method = ["--method", "template"] if options.read_only else []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        arguments = ["--output", folder, *method, *choice.context_options]
        if options.markdown:
            status = target.cdk("diff", "--no-color", *arguments, output=output)
            output.seek(0)
            text = output.read()
        else:
            status, text = target.cdk("diff", *arguments), ""
        if status:
            say(text)
            return status
        templates = read_assembly(Path(folder))
    prices = prices_for(choice.settings)
    before = _deployed(target, templates, prices)
    costs = difference_markdown(before, estimate(templates.values(), prices))
    if options.markdown:
        write(comment(choice.settings.stage, text, costs), options.markdown)
    else:
        console.print(Markdown(costs))
    return 0


def _deployed(target: Target, stack_names: Iterable[str], prices: Prices) -> Estimate | None:
    """What the deployed stacks cost; None where CloudFormation does not say."""
    try:
        return deployed_estimate(target, stack_names, prices)
    except (ClientError, BotoCoreError) as error:
        say(f"What the deployed stacks cost is not known: {error}")
        return None


def comment(stage: str, diff: str, costs: str) -> str:
    """The comparison as one comment; a long diff is cut."""
    cut = diff[:_MOST_DIFF]
    more = "" if cut == diff else f"\n… and {len(diff) - len(cut):,} characters more."
    # A fence longer than any within.
    return f"### `cdk diff` of {stage}\n\n````diff\n{cut.rstrip()}{more}\n````\n\n{costs}\n"
