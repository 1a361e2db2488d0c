"""The versions deployed so far."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from commands.versions.stage import Stage, Version

MODEL_PREFIX = "huggingface-sentencesimilarity-"


@dataclass(frozen=True)
class Listed:
    """One deployment and what is left of its bake.

    entries: of its corpus, where the marker tells. artifact: whether it can be served again.
    deployed: whether it is the one that is deployed now.
    """

    version: Version
    entries: int | None
    artifact: bool
    deployed: bool

    def as_json(self) -> dict[str, Any]:
        told = asdict(self.version) | {"at": self.version.at.isoformat()}
        return told | {
            "entries": self.entries,
            "artifact": self.artifact,
            "deployed": self.deployed,
        }


def list_versions(stage: Stage) -> list[Listed]:
    """Every version that Parameter Store remembers, newest first."""
    history = stage.history()
    bakes = {}
    for bake_id in dict.fromkeys(version.bake_id for version in history):
        marker = stage.bakes.marker(bake_id)
        artifact = marker is not None and stage.bakes.has_artifact(marker)
        bakes[bake_id] = ((marker or {}).get("entries"), artifact)
    return [
        Listed(version, *bakes[version.bake_id], deployed=place == 0)
        for place, version in enumerate(history)
    ]


def as_table(stage_name: str, listed: list[Listed]) -> Table:
    """For a terminal."""
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
        version = each.version
        table.add_row(
            ("now" if each.deployed else "") + ("" if each.artifact else " gone"),
            version.at.strftime("%Y-%m-%d %H:%M"),
            version.bake_id[:12],
            f"{version.model_id.removeprefix(MODEL_PREFIX)} {version.model_version}",
            version.corpus_sha256[:8],
            "" if each.entries is None else f"{each.entries:,}",
        )
    if not all(each.artifact for each in listed):
        table.caption = "gone: its artifact was pruned, so it cannot be rolled back to"
    return table
