"""What a transform job has written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.batch_objects import output_prefix, shard_of_output

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Output:
    """The answers to one shard: an object in the batch bucket, and its bytes."""

    key: str
    size: int


def list_outputs(s3: S3Client, bucket: str, batch_id: str) -> dict[int, Output]:
    """The answers that exist, by number of the shard, in the order of the input.

    They are recognized by the ends of their names, since descriptions of transform jobs differ on
    whether the output path repeats the folder of the input.
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
