"""What a transform job has written."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.client import BaseClient

from contract.batch_objects import output_prefix, shard_of_output


@dataclass(frozen=True, slots=True)
class Output:
    """The answers to one shard.

    Attributes:
        key: in the batch bucket.
        size: in bytes.
    """

    key: str
    size: int


def list_outputs(s3: BaseClient, bucket: str, batch_id: str) -> dict[int, Output]:
    """The answers that exist, by number of the shard, in the order of the input.

    They are found by their names' ends: whether a job repeats the folder of its input in the path
    of its output is not the same in all descriptions of it.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=output_prefix(batch_id)
    )
    found = {}
    for page in pages:
        for item in page.get("Contents", []):
            number = shard_of_output(item["Key"])
            if number is not None:
                found[number] = Output(item["Key"], item["Size"])
    return dict(sorted(found.items()))
