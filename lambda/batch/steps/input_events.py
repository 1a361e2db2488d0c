"""Files that were put under the input prefix: each starts a batch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from batch.execution import Batch, start_batch
from contract.batch_objects import (
    INPUT_PREFIX,
    batch_id_of_object,
    batch_id_of_upload,
    request_key,
)

_ABSENT = {"NoSuchKey", "404", "NotFound"}

_log = logging.getLogger(__name__)


class InputEvents:
    """Starts a batch for each event "Object Created"; a repeated event starts no second one.

    Args:
        s3, stepfunctions: boto3 clients.
        bucket: the batch bucket.
        state_machine_arn: what sees a batch through.
        instance_count: where nobody asked for a number.
    """

    def __init__(
        self,
        s3: BaseClient,
        stepfunctions: BaseClient,
        *,
        bucket: str,
        state_machine_arn: str,
        instance_count: int,
    ) -> None:
        self._s3 = s3
        self._stepfunctions = stepfunctions
        self._bucket = bucket
        self._state_machine_arn = state_machine_arn
        self._instance_count = instance_count

    def start(self, event: Mapping[str, Any]) -> str | None:
        """Start the batch of an event.

        Returns:
            Its id; None where the object is none that starts a batch.
        """
        detail = event["detail"]
        key = detail["object"]["key"]
        if detail["bucket"]["name"] != self._bucket or not key.startswith(INPUT_PREFIX):
            return None
        if key.endswith("/"):
            return None  # what consoles make of an empty folder
        batch = self._batch(key, detail["object"])
        if batch is None:
            return None
        is_new = start_batch(
            self._stepfunctions,
            self._state_machine_arn,
            batch,
            datetime.fromisoformat(event["time"]),
        )
        _log.info("Batch %s %s", batch.batch_id, "started" if is_new else "was started before")
        return batch.batch_id

    def _batch(self, key: str, source: Mapping[str, Any]) -> Batch | None:
        """The batch of a file; None where it was stopped before the file was there."""
        version_id = source.get("version-id")
        batch_id = batch_id_of_upload(key)
        asked = self._request(batch_id) if batch_id else None
        if batch_id is None or asked is None:
            # Also for a file that only looks as if the API had asked for it.
            batch_id, asked = batch_id_of_object(self._bucket, key, version_id), {}
        if asked.get("stopped_at"):
            _log.info("Batch %s was stopped before it had begun", batch_id)
            return None
        return Batch(
            batch_id=batch_id,
            bucket=self._bucket,
            key=key,
            version_id=version_id,
            size=source["size"],
            instance_count=asked.get("instance_count") or self._instance_count,
            merge=bool(asked.get("merge")),
        )

    def _request(self, batch_id: str) -> dict[str, Any] | None:
        """What was asked of the API, if anything."""
        try:
            response = self._s3.get_object(Bucket=self._bucket, Key=request_key(batch_id))
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        request: dict[str, Any] = json.loads(response["Body"].read())
        return request
