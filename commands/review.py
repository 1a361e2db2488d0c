"""What a deploy would change, for people: `cdk diff`, and what the change costs (`make diff`)."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.markdown import Markdown

from commands.cdk_cli import console
from commands.cost import deployed_estimate, difference_markdown, read_assembly
from commands.cost_estimate import Estimate, estimate
from commands.local_state import LocalError
from commands.target import Target, add_options, choose
from stage.prices import Prices, prices_for
from stage.settings import SettingsError

# A comment on a pull request may have 65,536 characters, all told.
_MOST_DIFF = 50_000


def main() -> int:
    """Prints or writes the review; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="commands.review", description="cdk diff, and what the change costs."
    )
    add_options(parser)
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write it there, as for a pull request"
    )
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="compare templates alone: no change set is made, so the right to read is enough",
    )
    options = parser.parse_args()
    try:
        target, choice = choose(options)
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
                console.print(text, markup=False)
                return status
            templates = read_assembly(Path(folder))
    except (SettingsError, LocalError) as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    prices = prices_for(choice.settings)
    before = _deployed(target, templates, prices)
    costs = difference_markdown(before, estimate(templates.values(), prices))
    if options.markdown:
        options.markdown.write_text(comment(choice.settings.stage, text, costs), encoding="utf-8")
        console.print(f"Written to {options.markdown}.", markup=False)
    else:
        console.print(Markdown(costs))
    return 0


def _deployed(target: Target, stack_names: Iterable[str], prices: Prices) -> Estimate | None:
    """What is deployed costs; None where CloudFormation does not say."""
    try:
        return deployed_estimate(target, stack_names, prices)
    except (ClientError, BotoCoreError) as error:
        console.print(f"What the deployed stacks cost is not known: {error}", markup=False)
        return None


def comment(stage: str, diff: str, costs: str) -> str:
    """The review as one comment; a long diff is cut."""
    cut = diff[:_MOST_DIFF]
    more = "" if cut == diff else f"\n… and {len(diff) - len(cut):,} characters more."
    # A fence longer than any within.
    return f"### `cdk diff` of {stage}\n\n````diff\n{cut.rstrip()}{more}\n````\n\n{costs}\n"


if __name__ == "__main__":
    sys.exit(main())
