"""Where the objects of an index of S3 Vectors lie in the artifacts bucket."""

from __future__ import annotations

from typing import Final

INDEXES_PREFIX: Final = "indexes/"
WANTED_KEY: Final = f"{INDEXES_PREFIX}wanted.json"
"""What the stage's settings ask for: a JSON object, the input of the state machine. Only this index
is switched to."""


def index_prefix(index_id: str) -> str:
    """Everything that belongs to one index lies below it."""
    return f"{INDEXES_PREFIX}{index_id}/"


def index_marker_key(index_id: str) -> str:
    """A JSON object that describes the complete index. Without it the index is not complete."""
    return f"{index_prefix(index_id)}index.json"


def index_corpus_prefix(index_id: str) -> str:
    """Below it lies the one file that is in the index."""
    return f"{index_prefix(index_id)}corpus/"


def load_key(index_id: str) -> str:
    """A JSON object that says how far the loading has come.

    Its members: corpus (key, version_id, size), batch_id, made (how often the index was made), run
    (names what is loaded from one batch into an index that was made once), parts and entries of the
    batch's output, and error, why the last loading failed.
    """
    return f"{index_prefix(index_id)}load.json"


def parts_prefix(index_id: str, run: str) -> str:
    """Below it lies an object for each part of the batch's output that is in the index."""
    return f"{index_prefix(index_id)}parts/{run}/"


def part_key(index_id: str, run: str, number: int, entries: int, vectors: int) -> str:
    """A part that is in the index: all that is counted is in its name."""
    return f"{parts_prefix(index_id, run)}{number:05}-{entries}-{vectors}"


def part_of_key(key: str) -> tuple[int, int, int]:
    """Number, entries and vectors of a part."""
    number, entries, vectors = map(int, key.rpartition("/")[2].split("-"))
    return number, entries, vectors


def execution_name(index_id: str, attempt: int) -> str:
    """The execution that loads an index, for the `attempt`-th time, counted from 1."""
    return f"{index_id}-{attempt}"
