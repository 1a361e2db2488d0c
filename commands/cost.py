"""What a stage costs: `make cost STAGE=dev`, and beside `cdk diff` the difference: `make diff`.

Estimated from the templates, not from the settings: what is not in them costs nothing here
(storage, batches, the hours of a bake, what leaves AWS).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from rich.table import Table

from commands.cdk_cli import Choice, console
from commands.cost_estimate import HOURS_A_MONTH, Estimate, estimate
from commands.local_state import LocalError
from commands.target import Target
from stage.prices import Prices, prices_for
from stage.settings import SettingsError


def main() -> int:
    """Prints the estimate; returns the exit status."""
    parser = argparse.ArgumentParser(prog="commands.cost", description="What a stage costs.")
    parser.add_argument("--stage", default="dev", help="the settings: config/<stage>.toml")
    parser.add_argument("--config", help="a folder with settings, instead of config")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args()
    try:
        choice = Choice.read(options.stage, config=options.config)
        target = Target(choice.settings.region)  # synth asks no AWS
        with tempfile.TemporaryDirectory() as folder:
            options_of_synth = ["--quiet", "--output", folder, *choice.context_options]
            if status := target.cdk("synth", *options_of_synth, quiet=True):
                return status
            found = estimate(read_assembly(Path(folder)).values(), prices_for(choice.settings))
    except (SettingsError, LocalError) as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    if options.json:
        print(json.dumps(as_json(found), indent=2))
    else:
        console.print(_table(options.stage, found))
        console.print(caveat(found), style="dim")
    return 0


def read_assembly(folder: Path) -> dict[str, dict[str, Any]]:
    """The synthesised templates in a cloud assembly, by stack name."""
    suffix = ".template.json"
    return {
        file.name.removesuffix(suffix): json.loads(file.read_text())
        for file in sorted(folder.glob(f"*{suffix}"))
    }


def deployed_estimate(target: Target, stack_names: Iterable[str], prices: Prices) -> Estimate:
    """What is deployed now costs; stacks that do not exist cost nothing.

    Raises ClientError or BotoCoreError where CloudFormation cannot be asked.
    """
    client = target.client("cloudformation")
    templates, serving = [], True
    for name in stack_names:
        try:
            (stack,) = client.describe_stacks(StackName=name)["Stacks"]
            templates.append(client.get_template(StackName=name)["TemplateBody"])
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            continue
        for parameter in stack.get("Parameters", []):
            if parameter["ParameterKey"] == "Serving":
                serving = parameter["ParameterValue"] == "on"
    return estimate(templates, prices, serving=serving)


def _table(stage: str, found: Estimate) -> Table:
    currency = found.prices.currency
    table = Table(title=f"What {stage} costs, {currency}")
    for heading in ("", "an hour", "a month"):
        table.add_column(heading, justify="right" if heading else "left")

    def row(label: str, hour: float, month: float | None = None) -> None:
        table.add_row(label, f"{hour:,.3f}", f"{month or hour * HOURS_A_MONTH:,.2f}")

    for each in found.endpoints:
        label = f"{each.name} ({each.least} x {each.instance_type})"
        row(label if each.instance_hour is not None else f"{label}: no price", each.hour)
    row("keys, alarms, dashboard", found.month_fixed / HOURS_A_MONTH, found.month_fixed)
    table.add_section()
    row("idle", found.hour)
    if found.hour_at_most > found.hour:
        row("scaled out to the most", found.hour_at_most)
    row("switched off", found.month_fixed / HOURS_A_MONTH, found.month_fixed)
    table.add_section()
    table.add_row("a million queries, beyond that", "", f"{found.million_queries:,.2f}")
    return table


def caveat(found: Estimate) -> str:
    """How far the figures can be trusted, in a sentence or two."""
    unpriced = found.unpriced
    missing = (
        f" No price is known for {', '.join(unpriced)}: it is missing from the sums; give it in"
        " the settings' [prices]."
        if unpriced
        else ""
    )
    return (
        f"List prices as of {found.prices.as_of}, unverified (prices.toml); without storage,"
        f" batches, bakes and taxes.{missing}"
    )


def difference_markdown(before: Estimate | None, after: Estimate) -> str:
    """The difference as a Markdown table; `before` is None where nothing is known of it."""
    rows = [
        ("idle, an hour", "hour", 1.0),
        ("idle, a month", "hour", float(HOURS_A_MONTH)),
        ("scaled out to the most, an hour", "hour_at_most", 1.0),
        ("a million queries", "million_queries", 1.0),
    ]
    lines = [
        f"| {after.prices.currency} | deployed | this change | difference |",
        "|---|--:|--:|--:|",
    ]
    for label, attribute, factor in rows:
        new = getattr(after, attribute) * factor
        if before is None:
            lines.append(f"| {label} | ? | {new:,.3f} | ? |")
        else:
            old = getattr(before, attribute) * factor
            lines.append(f"| {label} | {old:,.3f} | {new:,.3f} | {new - old:+,.3f} |")
    return "\n".join([*lines, "", caveat(after)])


def as_json(found: Estimate) -> dict[str, Any]:
    """The estimate as JSON: amounts in `currency`."""
    return {
        "currency": found.prices.currency,
        "prices_as_of": str(found.prices.as_of),
        "endpoints": [
            {
                "endpoint_name": e.name,
                "instance_type": e.instance_type,
                "instances": [e.least, e.most],
                "instance_hour": e.instance_hour,
            }
            for e in found.endpoints
        ],
        "idle_hour": round(found.hour, 6),
        "idle_month": round(found.hour * HOURS_A_MONTH, 2),
        "most_hour": round(found.hour_at_most, 6),
        "switched_off_month": round(found.month_fixed, 2),
        "million_queries": round(found.million_queries, 4),
    }


if __name__ == "__main__":
    sys.exit(main())
