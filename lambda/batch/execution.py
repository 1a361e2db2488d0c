"""What routes and steps share: reading a batch's JSON, and starting batches.

The one place that knows the input of their state machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch is asked to do.

    Attributes:
        bucket, key: the file with the records.
        version_id: of the file; None if its bucket keeps no versions.
        size: of the file, in bytes.
        instance_count: instances of the transform job.
        merge: whether the answers are wanted in one file as well.
        owner: who asked the API for it, as a hash; None if a file in the bucket began it.
        of_corpus: whether the file is a corpus, for an index of S3 Vectors; then the answers are
            vectors to load, and a line that is no entry fails the batch.
    """

    batch_id: str
    bucket: str
    key: str
    version_id: str | None
    size: int
    instance_count: int
    merge: bool = False
    owner: str | None = None
    of_corpus: bool = False

    def execution_input(self, requested_at: datetime) -> dict[str, Any]:
        """The input of the state machine."""
        return {
            "batch_id": self.batch_id,
            "input": {
                "bucket": self.bucket,
                "key": self.key,
                "version_id": self.version_id,
                "size": self.size,
            },
            "instance_count": self.instance_count,
            "merge": self.merge,
            "owner": self.owner,
            "requested_at": requested_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **({"of_corpus": True} if self.of_corpus else {}),
        }


def start_batch(
    stepfunctions: SFNClient,
    state_machine_arn: str,
    batch: Batch,
    requested_at: datetime | None = None,
) -> bool:
    """Starts a batch unless it was started before.

    Returns:
        Whether the batch is new. (Also True if it was asked for in the same second with the same
        input and still runs: Step Functions takes that for one request.)
    """
    try:
        stepfunctions.start_execution(
            stateMachineArn=state_machine_arn,
            name=batch.batch_id,
            input=json.dumps(batch.execution_input(requested_at or datetime.now(UTC))),
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        return False
    return True


def read_json(s3: S3Client, bucket: str, key: str) -> dict[str, Any] | None:
    """A JSON object in S3, or None if it does not exist."""
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    found: dict[str, Any] = json.loads(content)
    return found
