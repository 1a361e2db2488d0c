"""The action "split": checks the input and cuts it into what the transform job reads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.client import BaseClient

from batch.steps.file_check import check_beginning
from batch.steps.line_reader import read_lines
from batch.steps.object_stream import ObjectStream
from batch.steps.split_cursor import SplitCursor
from batch.steps.splitter import Splitter, shard_bytes


def split(
    s3: BaseClient,
    bucket: str,
    event: Mapping[str, Any],
    read_dimension: Callable[[], int],
    is_time_up: Callable[[], bool],
) -> dict[str, Any]:
    """Read on from event["cursor"], or from the beginning where that is null.

    Args:
        s3: a boto3 client.
        bucket: where shards and rejects go.
        event: with batch and cursor.
        read_dimension: of the deployed model; asked once a batch.
        is_time_up: whether to leave the rest to the next invocation.

    Returns:
        The next cursor.

    Raises:
        BatchError: a fault of the file as a whole.
    """
    batch, source = event["batch"], event["batch"]["input"]
    document = event.get("cursor")
    etag = document["etag"] if document else None
    stream = ObjectStream(s3, source["bucket"], source["key"], source["version_id"], etag)
    if document:
        cursor = SplitCursor.read(document)
        chunks = stream.chunks(cursor.offset)
    else:
        chunks, cursor = _begin(stream, read_dimension)
    segment_bytes = shard_bytes(cursor.size, batch["instance_count"])
    lines = read_lines(chunks)
    Splitter(s3, bucket, batch["batch_id"], lines, segment_bytes).run(cursor, is_time_up)
    return cursor.document()


def _begin(
    stream: ObjectStream, read_dimension: Callable[[], int]
) -> tuple[Iterator[bytes], SplitCursor]:
    chunks = stream.chunks()
    beginning = next(chunks, b"")
    check_beginning(beginning)
    cursor = SplitCursor(etag=stream.etag or "", size=stream.size, dimension=read_dimension())
    return itertools.chain([beginning], chunks), cursor
