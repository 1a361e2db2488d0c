"""The corpus over the years: what a deploy would change, what was deployed, back, and away.

    python -m commands.versions diff                what a deploy would change in the corpus
    python -m commands.versions list                the versions deployed so far
    python -m commands.versions rollback BAKE_ID    back to one of them, without training
    python -m commands.versions prune               removes the bakes that no version refers to

Without --stage they act on the local AWS that runs here; with it on AWS.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from commands import deployment
from commands.cdk_cli import Choice, console
from commands.local_state import LocalError
from commands.target import Target, add_options, choose
from commands.versions import listing, prune, rollback
from commands.versions.diff import corpus_diff
from commands.versions.stage import Stage, VersionsError
from corpus.reader import CorpusError
from stage.bundles import BundleError
from stage.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        target, choice = choose(options)
        stage = Stage(choice.settings, target)
        match options.command:
            case "diff":
                return _diff(stage, options.markdown)
            case "list":
                return _list(stage, as_json=options.json)
            case "rollback":
                return _roll_back(stage, choice, options.bake_id, ask=not options.yes)
            case _:
                return _prune(stage, options.keep, delete=options.yes)
    except (VersionsError, SettingsError, CorpusError, BundleError, LocalError) as fault:
        console.print(str(fault), style="red", markup=False)
    except (ClientError, BotoCoreError) as fault:
        console.print(f"AWS did not answer as it should: {fault}", style="red", markup=False)
    except KeyboardInterrupt:
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m commands.versions", description=(__doc__ or "").split("\n", 1)[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        add_options(added)
        return added

    diff = command("diff", "what a deploy would change in the corpus")
    diff.add_argument("--markdown", type=Path, metavar="FILE", help="write it there as Markdown")
    listed = command("list", "the versions deployed so far, newest first")
    listed.add_argument("--json", action="store_true", help="as JSON, with full ids")
    back = command("rollback", "serve an earlier version again, without training")
    back.add_argument("bake_id", help="its bake id, or the beginning of it")
    back.add_argument("--yes", action="store_true", help="deploy without asking")
    away = command("prune", "remove the bakes that no version refers to")
    away.add_argument(
        "--keep",
        type=_at_least_one,
        default=5,
        metavar="N",
        help="how many of the bakes that were deployed last to keep (default: %(default)s)",
    )
    away.add_argument("--yes", action="store_true", help="delete; without it, only shown")
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("the deployed one is always kept: at least 1")
    return number


def _diff(stage: Stage, file: Path | None) -> int:
    report = corpus_diff(stage)
    if file:
        file.write_text(report.markdown(), encoding="utf-8")
        console.print(f"Written to {file}.", markup=False)
    else:
        console.print(report.text(), markup=False)
    return 0


def _list(stage: Stage, *, as_json: bool) -> int:
    listed = listing.list_versions(stage)
    if as_json:
        print(json.dumps([each.as_json() for each in listed], indent=2))
    elif listed:
        console.print(listing.as_table(stage.settings.stage, listed))
    else:
        console.print(f"Stage {stage.settings.stage} is not deployed.")
    return 0


def _roll_back(stage: Stage, choice: Choice, prefix: str, *, ask: bool) -> int:
    earlier = rollback.prepare(stage, prefix)
    console.print(f"Back to bake {earlier.bake_id}, its corpus in {earlier.corpus}", markup=False)
    target: Target = stage.target
    status = deployment.deploy(target, rollback.choice_of(choice, earlier), ask=ask)
    if status == 0:
        console.print(rollback.how_to_keep(stage.settings.stage, earlier), markup=False)
    return status


def _prune(stage: Stage, keep: int, *, delete: bool) -> int:
    verdicts = prune.judge(stage, keep)
    console.print(prune.as_table(stage.settings.stage, verdicts))
    size = sum(each.stored.size for each in verdicts if not each.reason)
    if not any(not each.reason for each in verdicts):
        console.print("There is nothing to prune.")
        return 0
    if not delete:
        console.print(f"{prune.megabytes(size)} may go. To delete them: --yes")
        return 0
    freed, refused = prune.remove(stage, verdicts)
    console.print(f"Freed {prune.megabytes(freed)}.")
    for fault in refused:
        console.print(f"Not deleted: {fault}", style="red", markup=False)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
