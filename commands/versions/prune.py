"""Removing the bakes that no version refers to any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from rich.box import SIMPLE_HEAD
from rich.table import Table

from commands.versions.bakes import Stored
from commands.versions.stage import Stage, VersionsError

YOUNG = timedelta(days=1)


@dataclass(frozen=True)
class Verdict:
    """One bake: what it takes up, and why it is kept; no reason means that it may go."""

    bake_id: str
    stored: Stored
    reason: str


def judge(stage: Stage, keep: int, now: datetime | None = None) -> list[Verdict]:
    """Every bake of the stage, the newest first.

    keep: how many of the bakes that were deployed last are kept, the present one among them.
    now: default the present.

    Raises VersionsError where nothing is deployed, since then nothing says what is in use, and
    while a deployment runs.
    """
    history = stage.history()
    if not history:
        raise VersionsError(
            f"No version of stage {stage.settings.stage} is deployed, so nothing tells which bakes"
            " are in use. Deploy first."
        )
    stage.refuse_unless_at_rest()
    stored = stage.bakes.stored()
    order = list(dict.fromkeys(version.bake_id for version in history))
    reasons = {}
    for bake_id in order[:keep]:
        reasons[bake_id] = f"among the last {keep} deployed"
    young = (now or datetime.now(UTC)) - YOUNG
    for bake_id, each in stored.items():
        if each.newest and each.newest > young:
            reasons[bake_id] = "younger than a day"
    running = _running(stage)
    reasons |= {b: "its training job runs" for b in stored if b[:12] in running}
    for model, bake_id in _served(stage):
        reasons[bake_id] = f"the Model {model} refers to it"
    if reused := stage.settings.bake.reuse:
        reasons[reused] = "the settings reuse it"
    reasons[order[0]] = "deployed now"
    verdicts = [Verdict(b, each, reasons.get(b, "")) for b, each in stored.items()]
    return sorted(verdicts, key=_written, reverse=True)


def remove(stage: Stage, verdicts: list[Verdict]) -> tuple[int, list[str]]:
    """Deletes every version of the objects of the bakes that may go.

    Returns the bytes that were freed, bake by bake, and a sentence for each object that could not
    be deleted.
    """
    freed, refused = 0, []
    for verdict in verdicts:
        if not verdict.reason:
            faults = stage.bakes.delete(verdict.stored.versions)
            refused += faults
            freed += 0 if faults else verdict.stored.size
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
            each.bake_id[:12],
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


def _running(stage: Stage) -> set[str]:
    """The beginnings of the ids of bakes whose training jobs have not ended."""
    paginator = stage.target.client("sagemaker").get_paginator("list_training_jobs")
    prefix = f"{stage.settings.names.prefix}-"
    return {
        job["TrainingJobName"].removeprefix(prefix)[:12]
        for status in ("InProgress", "Stopping")
        for page in paginator.paginate(NameContains=prefix, StatusEquals=status)
        for job in page["TrainingJobSummaries"]
    }


def _served(stage: Stage) -> Iterator[tuple[str, str]]:
    """Each Model of the account whose data lies in a bake of this stage: its name, the bake id."""
    sagemaker = stage.target.client("sagemaker")
    ours = f"s3://{stage.bakes.bucket}/bakes/"
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


def _data_urls(model: dict[str, Any]) -> Iterator[str]:
    for container in [model.get("PrimaryContainer", {}), *model.get("Containers", [])]:
        yield container.get("ModelDataUrl", "")
        yield container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri", "")
