"""`make second-opinion`: deploys the templates to two emulators and lists where they differ.

What both do alike can still be wrong; what they do differently is worth a look into AWS's
documentation.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from commands import local_app
from commands.cdk_cli import run_cdk
from commands.console import console, say
from commands.errors import CommandError, guard
from commands.local_state import LOCAL_STAGE, ROOT
from commands.target import Choice
from stage.bundles import BUILD_DIRECTORY
from tools.second_opinion import emulators
from tools.second_opinion.api import ask
from tools.second_opinion.facts import Difference, Facts, differences, observe
from tools.second_opinion.templates import leave_out, refusals

FOLDER = BUILD_DIRECTORY / "second-opinion"
REPORT = FOLDER / "report.md"
_OUTCOMES = {"stack", "output", "request", "afterwards"}
_CELL = 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the report; whatever it says, 0."""
    parser = argparse.ArgumentParser(prog="second_opinion", description=__doc__)
    parser.add_argument("--stage", default=LOCAL_STAGE, help="the settings: config/<stage>.toml")
    choice = Choice.read(parser.parse_args(arguments).stage)
    if choice.settings.api.auth != "api_key":
        raise CommandError("Only a stage whose API takes API keys can be compared.")
    if not emulators.PYTHON.exists():
        raise CommandError("MiniStack is not installed. Run this as: make second-opinion")
    weights = local_app.find_weights(choice.settings)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    region = choice.settings.region
    with emulators.local_aws(FOLDER / "local_aws", region) as emulator:
        ours = opinion(emulator, choice, weights)
    with emulators.ministack(FOLDER / "ministack", region) as emulator:
        theirs = opinion(emulator, choice, weights)
    found = differences(ours, theirs)
    alike = sum(ours.get(fact) == value for fact, value in theirs.items())
    REPORT.write_text(report(found, alike), encoding="utf-8")
    say(f"{alike} values are alike, {len(found)} differ: {REPORT}")
    return 0


def opinion(emulator: emulators.Emulator, choice: Choice, weights: Path) -> Facts:
    """Deploys, looks, asks the API, and removes everything."""
    context = emulator.context
    stacks = [choice.settings.names.stack(part) for part in choice.settings.stacks]
    assembly = FOLDER / "cdk.out"
    with (FOLDER / f"cdk of {emulator.name}.log").open("w", encoding="utf-8") as log:

        def cdk(what: str, *arguments: str, cwd: Path = ROOT) -> int:
            began = time.monotonic()
            console.print(f"{emulator.name}: {what} …", end=" ")
            environment = {**context.environment(), "CDK_VALIDATION": "false"}
            status = run_cdk(arguments, environment, output=log, cwd=cwd)
            say(
                f"{time.monotonic() - began:.0f} s"
                + (f"; failed, see {log.name}" if status else "")
            )
            return status

        place = f"aws://{context.account_id}/{context.region}"
        refused: Facts = {}
        if cdk("bootstrap", "bootstrap", place, cwd=FOLDER):  # away from cdk.json
            raise CommandError(f"{emulator.name} cannot be bootstrapped.")
        if not assembly.exists() and cdk(
            "synth", "synth", "--quiet", "--output", str(assembly), *choice.context_options
        ):
            raise CommandError("The templates could not be synthesised.")
        local_app.upload_weights(context, choice.settings, weights)
        options = ["--all", "--app", str(assembly)]
        while status := cdk("deployment", "deploy", *options, "--require-approval=never"):
            found = refusals(context, stacks)
            if found.keys() <= refused.keys():
                break  # it fails for another reason
            for fact, why in found.items():
                say(f"  {fact.kind} {fact.name} {why}. Once more without it.")
            refused |= leave_out(context, assembly, {fact.name for fact in found}) | found
        facts = observe(context, ["CDKToolkit", *stacks]) | refused
        if not status:
            facts |= ask(emulator, stacks)
        cdk("removal", "destroy", *options, "--force")
        left = observe(context, stacks)
    return facts | {
        fact._replace(kind="afterwards", what=fact.kind): value
        for fact, value in left.items()
        if fact.what == "status"
    }


def report(found: Sequence[Difference], alike: int) -> str:
    """As Markdown."""
    lock = (ROOT / "requirements/second-opinion.txt").read_text(encoding="utf-8")
    version = re.search(r"^ministack==(\S+)", lock, re.MULTILINE)
    outcomes = [d for d in found if d.kind in _OUTCOMES or d.what in ("status", "reason", "id")]
    settings = [d for d in found if d not in outcomes]
    return "\n".join(
        [
            f"# The local AWS and MiniStack {version and version[1]}, {datetime.now(UTC):%Y-%m-%d}",
            "",
            f"{alike} values are alike. MiniStack has no SageMaker: it had the local AWS's.",
            *_table("What came of it", outcomes),
            *_table("Settings that only MiniStack has", [d for d in settings if d.ours is None]),
            *_table("Settings that only the local AWS has", [d for d in settings if not d.theirs]),
            *_table("Settings that differ", [d for d in settings if d.ours and d.theirs]),
            "",
        ]
    )


def _table(title: str, found: Sequence[Difference]) -> list[str]:
    rows = [
        f"| {d.kind} | {_cell(d.what)} | {_cell(d.ours)} | {_cell(d.theirs)} "
        f"| {d.names[0]}{f' and {len(d.names) - 1} more' if d.names[1:] else ''} |"
        for d in found
    ]
    head = ["| kind | value | local AWS | MiniStack | of |", "|---|---|---|---|---|"]
    return ["", f"## {title} ({len(found)})", "", *(head + rows if rows else ["None."])]


def _cell(text: str | None) -> str:
    if text is None:
        return "none"
    shown = text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
    return shown.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(guard(main))
