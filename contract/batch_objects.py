"""What belongs to a batch is named after its id: objects, the execution, the transform job."""

from __future__ import annotations

import re
import uuid
from typing import Final

INPUT_PREFIX: Final = "input/"
"""Below it users put their files; each starts a batch."""
UPLOADS_PREFIX: Final = f"{INPUT_PREFIX}uploads/"
"""Below it callers of the API put theirs."""
REQUESTS_PREFIX: Final = "requests/"
SHARDS_PREFIX: Final = "shards/"
OUTPUT_PREFIX: Final = "output/"
MAX_ATTEMPTS: Final = 3
"""Transform jobs that one batch may try."""

_UPLOAD_KEY: Final = re.compile(re.escape(UPLOADS_PREFIX) + r"([^/]+)\.jsonl")
_OUTPUT_KEY: Final = re.compile(r".*/(\d{5,})\.jsonl\.out", re.DOTALL)
_BATCH_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Ids made of other names. A change would give a repeated request a second batch.
_NAMESPACE: Final = uuid.UUID("8f2f3f5e-6d0b-5c39-9a55-0f2a3d1c7e64")


def new_batch_id() -> str:
    """An id that nothing else has: 36 characters, lower case."""
    return str(uuid.uuid4())


def batch_id_of_token(client_token: str) -> str:
    """The same id for the same client token, always."""
    return str(uuid.uuid5(_NAMESPACE, f"token {client_token}"))


def batch_id_of_object(bucket: str, key: str, version_id: str | None) -> str:
    """The same id for the same version of an object, always."""
    return str(uuid.uuid5(_NAMESPACE, f"object {bucket}/{key} {version_id or ''}"))


def is_batch_id(text: str) -> bool:
    """Whether the text has the form of an id. What passes is safe in a key and in a name."""
    return _BATCH_ID.fullmatch(text) is not None


def upload_key(batch_id: str) -> str:
    """Where a caller without a bucket puts the file."""
    return f"{UPLOADS_PREFIX}{batch_id}.jsonl"


def batch_id_of_upload(key: str) -> str | None:
    """The reverse of upload_key; None for any other key."""
    match = _UPLOAD_KEY.fullmatch(key)
    return match[1] if match and is_batch_id(match[1]) else None


def request_key(batch_id: str) -> str:
    """What was asked of the API: a JSON object with instance_count, merge and stopped_at."""
    return f"{REQUESTS_PREFIX}{batch_id}.json"


def shards_prefix(batch_id: str) -> str:
    """What the transform job reads."""
    return f"{SHARDS_PREFIX}{batch_id}/"


def shard_key(batch_id: str, number: int) -> str:
    """One shard. Numbers count from 0, in the order of the input."""
    return f"{shards_prefix(batch_id)}{number:05}.jsonl"


def output_prefix(batch_id: str) -> str:
    """Everything that a batch gives."""
    return f"{OUTPUT_PREFIX}{batch_id}/"


def shard_of_output(key: str) -> int | None:
    """The number of the shard whose answers an object holds; None for any other object."""
    match = _OUTPUT_KEY.fullmatch(key)
    return int(match[1]) if match else None


def rejects_key(batch_id: str, number: int) -> str:
    """One file of refused lines. Numbers count from 0, in the order of the input."""
    return f"{output_prefix(batch_id)}rejects/{number:05}.jsonl"


def merged_key(batch_id: str) -> str:
    """All answers in one file."""
    return f"{output_prefix(batch_id)}embeddings.jsonl"


def report_key(batch_id: str) -> str:
    """The report, which is there once the batch has ended, however it ended."""
    return f"{output_prefix(batch_id)}report.json"


def execution_arn(state_machine_arn: str, batch_id: str) -> str:
    """The execution that sees a batch through."""
    return f"{state_machine_arn.replace(':stateMachine:', ':execution:', 1)}:{batch_id}"


def transform_job_name(prefix: str, batch_id: str, attempt: int = 1) -> str:
    """The transform job of an attempt, counted from 1.

    The id's hyphens are left out: with the longest stage name, 63 characters would not hold them.

    Args:
        prefix: of the stage, at most 28 characters.
    """
    tail = "" if attempt == 1 else f"-{attempt}"
    return f"{prefix}-{batch_id.replace('-', '')}{tail}"


def transform_job_names(prefix: str, batch_id: str) -> tuple[str, ...]:
    """The jobs that a batch may have, the latest attempt first."""
    return tuple(transform_job_name(prefix, batch_id, n) for n in range(MAX_ATTEMPTS, 0, -1))
