"""Where the objects of a bake lie in the artifacts bucket."""

from __future__ import annotations

from typing import Final

BAKES_PREFIX: Final = "bakes/"
ARTIFACT_SUFFIX: Final = "/output/model.tar.gz"
"""SageMaker puts a job's artifact at `<output path>/<job name>` followed by this."""


def bake_prefix(bake_id: str) -> str:
    """Everything that belongs to one bake lies below it."""
    return f"{BAKES_PREFIX}{bake_id}/"


def bake_id_of_key(key: str) -> str:
    """The bake that an object or prefix below `BAKES_PREFIX` belongs to."""
    return key.removeprefix(BAKES_PREFIX).partition("/")[0]


def marker_key(bake_id: str) -> str:
    """A JSON object that describes the finished bake. Written last: without it there is no bake."""
    return f"{bake_prefix(bake_id)}bake.json"


def corpus_prefix(bake_id: str) -> str:
    """Below it lies the one file that was baked."""
    return f"{bake_prefix(bake_id)}corpus/"


def artifact_key(bake_id: str, job_name: str) -> str:
    """The artifact of one training job."""
    return f"{bake_prefix(bake_id)}{job_name}{ARTIFACT_SUFFIX}"
