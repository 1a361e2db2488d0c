"""Files that were put under the input prefix: each starts a batch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batch.execution import Batch, read_json, start_batch
from batch.steps.environment import Environment
from contract.batch_objects import (
    INPUT_PREFIX,
    batch_id_of_object,
    batch_id_of_upload,
    request_key,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

logger = logging.getLogger(__name__)


def start_for_file(
    s3: S3Client, stepfunctions: SFNClient, environment: Environment, event: Mapping[str, Any]
) -> None:
    """Starts the batch of an event "Object Created", if the object is one to embed.

    A repeated event starts no second batch.
    """
    detail = event["detail"]
    bucket, key = detail["bucket"]["name"], detail["object"]["key"]
    if bucket != environment.batch_bucket or not key.startswith(INPUT_PREFIX):
        return
    if key.endswith("/"):
        return  # what consoles make of an empty folder
    version_id = detail["object"].get("version-id")
    batch_id = batch_id_of_upload(key)
    asked = read_json(s3, bucket, request_key(batch_id)) if batch_id else None
    if batch_id is None or asked is None:
        # Includes a file that only looks as if the API had asked for it.
        batch_id, asked = batch_id_of_object(bucket, key, version_id), {}
    if asked.get("stopped_at"):
        logger.info("Batch %s was stopped before it began", batch_id)
        return
    batch = Batch(
        batch_id=batch_id,
        bucket=bucket,
        key=key,
        version_id=version_id,
        size=detail["object"]["size"],
        instance_count=asked.get("instance_count") or environment.instance_count,
        merge=bool(asked.get("merge")),
        owner=asked.get("owner"),
    )
    is_new = start_batch(
        stepfunctions, environment.state_machine_arn, batch, datetime.fromisoformat(event["time"])
    )
    logger.info("Batch %s %s", batch_id, "started" if is_new else "had been started before")
