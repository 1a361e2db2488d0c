"""The versions deployed so far (`make versions`)."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from commands.console import console
from commands.deployed_stage import DeployedStage, Version
from commands.target import add_target_arguments, choose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stage, and the form of the answer."""
    add_target_arguments(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, with full ids")


def run(options: argparse.Namespace) -> int:
    """Prints the versions, newest first."""
    target, choice = choose(options)
    listed = list_versions(DeployedStage(choice.settings, target))
    if options.json:
        print(json.dumps([each.as_json() for each in listed], indent=2))
    elif listed:
        console.print(as_table(choice.settings.stage, listed))
    else:
        console.print(f"Stage {choice.settings.stage} is not deployed.")
    return 0


@dataclass(frozen=True)
class Listed:
    """One deployment and what is left of its bake.

    entries: of its corpus, where the marker says. artifact: whether it can be served again.
    deployed: whether it is the one that is deployed now.
    """

    version: Version
    entries: int | None
    artifact: bool
    deployed: bool

    def as_json(self) -> dict[str, Any]:
        version = self.version
        return {
            "number": version.number,
            "at": version.at.isoformat(),
            "by": version.by,
            **asdict(version.deployment),
            "entries": self.entries,
            "artifact": self.artifact,
            "deployed": self.deployed,
        }


def list_versions(stage: DeployedStage) -> list[Listed]:
    """Every version that Parameter Store remembers, newest first."""
    history = stage.history()
    bakes = {}
    for bake_id in dict.fromkeys(version.bake_id for version in history):
        marker = stage.versions.marker(bake_id)
        artifact = marker is not None and stage.versions.has_artifact(marker)
        bakes[bake_id] = ((marker or {}).get("entries"), artifact)
    return [
        Listed(version, *bakes[version.bake_id], deployed=place == 0)
        for place, version in enumerate(history)
    ]


def as_table(stage_name: str, listed: list[Listed]) -> Table:
    """For a terminal."""
    from stage.jumpstart import short_name

    table = Table(
        title=f"Versions of stage {stage_name}, newest first", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("", "deployed (UTC)", "bake", "model", "corpus", "entries"):
        table.add_column(
            heading,
            justify="right" if heading == "entries" else "left",
            no_wrap=heading != "model",  # a bake id that is cut is of no use
            overflow="fold",
        )
    for each in listed:
        version, deployment = each.version, each.version.deployment
        table.add_row(
            ("now" if each.deployed else "") + ("" if each.artifact else " gone"),
            version.at.strftime("%Y-%m-%d %H:%M"),
            deployment.bake_id[:12],
            f"{short_name(deployment.model_id)} {deployment.model_version}",
            deployment.corpus_sha256[:8],
            "" if each.entries is None else f"{each.entries:,}",
        )
    if not all(each.artifact for each in listed):
        table.caption = "gone: its artifact was pruned, so it cannot be rolled back to"
    return table
