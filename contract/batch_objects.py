"""Names of what belongs to a batch: objects in the batch bucket, the execution, transform jobs.

And how long one of its requests may take.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Final

INPUT_PREFIX: Final = "input/"
"""Each file that a user puts below it starts a batch."""
UPLOADS_PREFIX: Final = f"{INPUT_PREFIX}uploads/"
"""Callers of the API put their files below it."""
REQUESTS_PREFIX: Final = "requests/"
SLOTS_PREFIX: Final = f"{REQUESTS_PREFIX}slots/"
"""An object for each batch that the API was asked for and that may be under way."""
SHARDS_PREFIX: Final = "shards/"
OUTPUT_PREFIX: Final = "output/"
MAX_ATTEMPTS: Final = 3
"""Transform jobs that a batch may start, one after the other."""
CONCURRENT: Final = 4
"""Groups of records in flight on one instance. While one is encoded, other workers read and write
others. On a CPU two would do; a GPU encodes a group of short texts faster than a worker reads and
writes one."""
INVOCATION_SECONDS: Final = 600 * CONCURRENT
"""The longest that a group may take: 256 texts of full length on the smallest machine take ten
minutes, and a group may have to wait for the others. The model server has the same limit."""

_UPLOAD_KEY: Final = re.compile(re.escape(UPLOADS_PREFIX) + r"([^/]+)\.jsonl")
_OUTPUT_KEY: Final = re.compile(r".*/(\d{5,})\.jsonl\.out", re.DOTALL)
_BATCH_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# For ids made from names. If it changed, a repeated event would start a second batch.
_NAMESPACE: Final = uuid.UUID("8f2f3f5e-6d0b-5c39-9a55-0f2a3d1c7e64")


def new_batch_id() -> str:
    """A unique id: 36 lower-case characters."""
    return str(uuid.uuid4())


def batch_id_of_object(bucket: str, key: str, version_id: str | None) -> str:
    """Always the same id for the same version of an object.

    Anybody can work it out, so knowing it must not open anything.
    """
    return str(uuid.uuid5(_NAMESPACE, f"object {bucket}/{key} {version_id or ''}"))


def is_batch_id(text: str) -> bool:
    """Whether the text has the form of an id, and is therefore safe in keys and names."""
    return _BATCH_ID.fullmatch(text) is not None


def upload_key(batch_id: str) -> str:
    """Where a caller of the API uploads the file."""
    return f"{UPLOADS_PREFIX}{batch_id}.jsonl"


def batch_id_of_upload(key: str) -> str | None:
    """The reverse of upload_key; None for any other key."""
    match = _UPLOAD_KEY.fullmatch(key)
    return match[1] if match and is_batch_id(match[1]) else None


def request_key(batch_id: str) -> str:
    """The request to the API: a JSON object with owner, instance_count, merge and stopped_at."""
    return f"{REQUESTS_PREFIX}{batch_id}.json"


def token_key(owner: str, client_token: str) -> str:
    """Which batch an owner's client token stands for: a JSON object with batch_id."""
    name = hashlib.sha256(f"{owner} {client_token}".encode()).hexdigest()
    return f"{REQUESTS_PREFIX}tokens/{name}.json"


def slot_key(owner: str, batch_id: str, instance_count: int) -> str:
    """What a batch under way holds: all that its slot says is in its name."""
    return f"{SLOTS_PREFIX}{owner}/{batch_id}/{instance_count}"


def shards_prefix(batch_id: str) -> str:
    """The input of the transform job."""
    return f"{SHARDS_PREFIX}{batch_id}/"


def shard_key(batch_id: str, number: int) -> str:
    """One shard; they are numbered from 0 in the order of the input."""
    return f"{shards_prefix(batch_id)}{number:05}.jsonl"


def output_prefix(batch_id: str) -> str:
    """Everything that a batch produces."""
    return f"{OUTPUT_PREFIX}{batch_id}/"


def shard_of_output(key: str) -> int | None:
    """The number of the shard that an output belongs to; None for any other object."""
    match = _OUTPUT_KEY.fullmatch(key)
    return int(match[1]) if match else None


def rejects_key(batch_id: str, number: int) -> str:
    """One file of rejected lines; they are numbered from 0 in the order of the input."""
    return f"{output_prefix(batch_id)}rejects/{number:05}.jsonl"


def merged_key(batch_id: str) -> str:
    """All outputs merged into one file."""
    return f"{output_prefix(batch_id)}embeddings.jsonl"


def report_key(batch_id: str) -> str:
    """The report, written when the batch ends, whether it succeeded or not."""
    return f"{output_prefix(batch_id)}report.json"


def execution_arn(state_machine_arn: str, batch_id: str) -> str:
    """The execution that runs a batch."""
    return f"{state_machine_arn.replace(':stateMachine:', ':execution:', 1)}:{batch_id}"


def transform_job_name(prefix: str, batch_id: str, attempt: int = 1) -> str:
    """The transform job of an attempt, counted from 1.

    Without the id's hyphens, so that the longest stage name fits into 63 characters.

    Args:
        prefix: `Names.prefix`, at most 27 characters.
    """
    tail = "" if attempt == 1 else f"-{attempt}"
    return f"{prefix}-{batch_id.replace('-', '')}{tail}"


def transform_job_names(prefix: str, batch_id: str) -> tuple[str, ...]:
    """The transform jobs that a batch may have had, the latest attempt first."""
    return tuple(transform_job_name(prefix, batch_id, n) for n in range(MAX_ATTEMPTS, 0, -1))
