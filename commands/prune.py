"""Removes the bakes, and the indexes of S3 Vectors, that no version needs (`make prune`)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from rich.box import SIMPLE_HEAD
from rich.table import Table

from commands.bakes import Stored
from commands.console import console, say
from commands.deployed_stage import DeployedStage, Version
from commands.errors import CommandError
from commands.target import add_target_arguments, choose
from contract.bake_objects import BAKES_PREFIX

YOUNG = timedelta(days=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stage, and how much to keep."""
    add_target_arguments(parser)
    parser.add_argument(
        "--keep",
        type=_at_least_one,
        default=5,
        metavar="N",
        help="how many of the bakes that were deployed last to keep (default: %(default)s)",
    )
    parser.add_argument("--yes", action="store_true", help="delete; without it, only shown")


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("the deployed one is always kept: at least 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Shows every bake, and with --yes deletes; returns 1 where one could not be deleted."""
    target, choice = choose(options)
    stage = DeployedStage(choice.settings, target)
    verdicts = judge(stage, options.keep)
    console.print(as_table(choice.settings.stage, verdicts))
    if any(each.is_index for each in verdicts):
        console.print("An index's size is that of its corpus; the vectors go with it.")
    may_go = [each for each in verdicts if not each.reason]
    if not may_go:
        console.print("There is nothing to prune.")
        return 0
    if not options.yes:
        size = megabytes(sum(each.stored.size for each in may_go))
        console.print(f"{size} may go. To delete them: make prune YES=1 (or --yes)")
        return 0
    freed, refused = remove(stage, verdicts)
    console.print(f"Freed {megabytes(freed)}.")
    for error in refused:
        say(f"Not deleted: {error}", style="red")
    return 1 if refused else 0


@dataclass(frozen=True)
class Verdict:
    """One bake: what it takes up, and why it is kept; no reason means that it may go.

    is_index: whether it is an index of S3 Vectors instead.
    """

    bake_id: str
    stored: Stored
    reason: str
    is_index: bool = False


def judge(stage: DeployedStage, keep: int, now: datetime | None = None) -> list[Verdict]:
    """Every bake and every index of the stage, the newest first.

    keep: how many of the bakes that were deployed last are kept, the present one among them.
    now: default the present.

    Raises CommandError where nothing is deployed, since then nothing says what is in use, and
    while a deployment runs.
    """
    history = stage.history()
    if not history:
        raise CommandError(
            f"No version of stage {stage.settings.stage} is deployed, so nothing says which bakes"
            " are in use. Deploy first."
        )
    stage.refuse_unless_at_rest()
    young = (now or datetime.now(UTC)) - YOUNG
    if not stage.settings.search.has_vector_index:
        return _sorted(_bakes(stage, history, keep, young))
    indexes = _indexes(stage, history, keep, young)
    bakes = _bakes(stage, stage.artifacts(), 1, young)
    needed = {
        (stage.indexes.marker(each.bake_id) or {}).get("bake_id") for each in indexes if each.reason
    }
    bakes = [
        replace(each, reason=each.reason or "an index that is kept needs it")
        if each.bake_id in needed
        else each
        for each in bakes
    ]
    return _sorted([*indexes, *bakes])


def _indexes(
    stage: DeployedStage, history: list[Version], keep: int, young: datetime
) -> list[Verdict]:
    stored = stage.indexes.stored()
    order, reasons = _last(history, keep)
    reasons |= _young(stored, young)
    if load := stage.indexes.load():
        reasons[load.index_id] = "wanted by the last deployment"
    reasons[order[0]] = "searched now"
    return [Verdict(b, each, reasons.get(b, ""), is_index=True) for b, each in stored.items()]


def _last(history: list[Version], keep: int) -> tuple[list[str], dict[str, str]]:
    """The ids of the versions, newest first, and why the first few are kept."""
    order = list(dict.fromkeys(version.bake_id for version in history))
    return order, dict.fromkeys(order[:keep], f"among the last {keep} deployed")


def _young(stored: Mapping[str, Stored], young: datetime) -> dict[str, str]:
    return {
        bake_id: "younger than a day"
        for bake_id, each in stored.items()
        if each.newest and each.newest > young
    }


def _sorted(verdicts: list[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=_written, reverse=True)


def _bakes(
    stage: DeployedStage, history: list[Version], keep: int, young: datetime
) -> list[Verdict]:
    stored = stage.bakes.stored()
    order, reasons = _last(history, keep)
    reasons |= _young(stored, young)
    running = _running(stage)
    reasons |= {b: "its training job runs" for b in stored if b[:12] in running}
    for model, bake_id in _served(stage):
        reasons[bake_id] = f"the Model {model} refers to it"
    if reused := stage.settings.bake.reuse:
        reasons[reused] = "the settings reuse it"
    reasons[order[0]] = "deployed now"
    return [Verdict(b, each, reasons.get(b, "")) for b, each in stored.items()]


def remove(stage: DeployedStage, verdicts: list[Verdict]) -> tuple[int, list[str]]:
    """Deletes every version of the objects of the bakes that may go.

    Returns the bytes that were freed, bake by bake, and a sentence for each object that could not
    be deleted.
    """
    freed, refused = 0, []
    for verdict in verdicts:
        if not verdict.reason:
            if verdict.is_index:
                stage.indexes.delete_index(verdict.bake_id, verdict.stored)
            errors = stage.bakes.delete(verdict.stored.versions)
            refused += errors
            freed += 0 if errors else verdict.stored.size
    return freed, refused


def as_table(stage_name: str, verdicts: list[Verdict]) -> Table:
    """For a terminal."""
    table = Table(
        title=f"Bakes of stage {stage_name}, newest first", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("bake", "written at (UTC)", "size", ""):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for each in verdicts:
        table.add_row(
            f"{'index ' if each.is_index else ''}{each.bake_id[:12]}",
            _written(each).strftime("%Y-%m-%d %H:%M"),
            megabytes(each.stored.size),
            f"kept: {each.reason}" if each.reason else "may go",
        )
    return table


def megabytes(size: int) -> str:
    """`12.3 MB`."""
    return f"{size / 1e6:,.1f} MB"


def _written(verdict: Verdict) -> datetime:
    return verdict.stored.newest or datetime.min.replace(tzinfo=UTC)


def _running(stage: DeployedStage) -> set[str]:
    """The beginnings of the ids of bakes whose training jobs have not ended."""
    paginator = stage.target.client("sagemaker").get_paginator("list_training_jobs")
    prefix = f"{stage.settings.names.prefix}-"
    return {
        job["TrainingJobName"].removeprefix(prefix)[:12]
        for status in ("InProgress", "Stopping")
        for page in paginator.paginate(NameContains=prefix, StatusEquals=status)
        for job in page["TrainingJobSummaries"]
    }


def _served(stage: DeployedStage) -> Iterator[tuple[str, str]]:
    """Each Model of the account whose data lies in a bake of this stage: its name, the bake id."""
    sagemaker = stage.target.client("sagemaker")
    ours = f"s3://{stage.bakes.bucket}/{BAKES_PREFIX}"
    for page in sagemaker.get_paginator("list_models").paginate():
        for summary in page["Models"]:
            name = summary["ModelName"]
            try:
                model = sagemaker.describe_model(ModelName=name)
            except ClientError as error:
                if "not find" in str(error) or "not exist" in str(error):
                    continue  # deleted since it was listed
                raise
            for url in _data_urls(model):
                if url.startswith(ours):
                    yield name, url.removeprefix(ours).partition("/")[0]


def _data_urls(model: Mapping[str, Any]) -> Iterator[str]:
    for container in [model.get("PrimaryContainer", {}), *model.get("Containers", [])]:
        yield container.get("ModelDataUrl", "")
        yield container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri", "")
