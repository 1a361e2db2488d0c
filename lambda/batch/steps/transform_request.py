"""The action "prepare": the transform job that a batch is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from batch.steps.deployment import Deployment
from batch.steps.environment import Environment
from batch.steps.errors import BatchError
from contract.batch_objects import MAX_ATTEMPTS, output_prefix, shards_prefix, transform_job_name

# A group of records stays below 1 MB, and its answer below 5 MB.
_MAX_PAYLOAD_MB = 6
# While one group is encoded others are read and written, by workers of their own. On a CPU two in
# flight would do; a GPU encodes a group of short texts faster than a worker reads and writes one.
_CONCURRENT = 4
# The longest that a group may take: 256 texts of full length on the smallest machine take ten
# minutes, and a group may have to wait for the others.
_INVOCATION_SECONDS = 600 * _CONCURRENT
_INVOCATION_RETRIES = 3

_LEAST_WAIT, _LONGEST_WAIT = 3, 300
# An execution may have 25,000 events; each round of waiting and looking takes ten.
_ROUNDS = 2000
# What the slowest machine does with the largest model, of long texts.
_RECORDS_A_SECOND, _BYTES_A_SECOND = 2, 2000


def prepare(
    environment: Environment, deployment: Deployment, event: Mapping[str, Any]
) -> dict[str, Any]:
    """What CreateTransformJob is asked for the shards that were written.

    Args:
        environment: of the function.
        deployment: now.
        event: with batch, cursor, and attempt: how many attempts there were (0 or null: none).

    Returns:
        transform_job (the request; always with the same fields, since the workflow names each),
        deployment, wait_seconds between two looks at the job, attempt (the number of this one).

    Raises:
        BatchError: there is nothing to embed, or nothing to embed it with.
    """
    batch, cursor = event["batch"], event["cursor"]
    attempt = (event.get("attempt") or 0) + 1
    _check(cursor, deployment, attempt)
    # More instances than shards would idle.
    instance_count = min(batch["instance_count"], cursor["shards"])
    return {
        "transform_job": _request(
            environment, deployment, batch["batch_id"], instance_count, attempt
        ),
        "deployment": deployment.about,
        "wait_seconds": _wait_seconds(cursor, instance_count),
        "attempt": attempt,
    }


def _check(cursor: Mapping[str, Any], deployment: Deployment, attempt: int) -> None:
    if attempt > MAX_ATTEMPTS:
        raise BatchError(
            f"The model was replaced {MAX_ATTEMPTS} times before the transform job could begin."
            " Start a new batch when deployments have come to rest."
        )
    if not cursor["accepted"]:
        lines = f"{cursor['rejected']:,} lines were rejected, {cursor['blank']:,} are blank"
        raise BatchError(f"The file holds no record that can be embedded: {lines}.")
    if deployment.dimension > cursor["dimension"]:
        raise BatchError(
            f"A model with larger vectors ({deployment.dimension} numbers instead of"
            f" {cursor['dimension']}) was deployed while the file was read. Start a new batch."
        )


def _request(
    environment: Environment,
    deployment: Deployment,
    batch_id: str,
    instance_count: int,
    attempt: int,
) -> dict[str, Any]:
    resources: dict[str, Any] = {
        "InstanceType": environment.instance_type,
        "InstanceCount": instance_count,
    }
    if environment.volume_kms_key_id:
        resources["VolumeKmsKeyId"] = environment.volume_kms_key_id
    if environment.transform_ami_version:
        resources["TransformAmiVersion"] = environment.transform_ami_version
    bucket = f"s3://{environment.batch_bucket}"
    return {
        "TransformJobName": transform_job_name(environment.transform_job_prefix, batch_id, attempt),
        "ModelName": deployment.model_name,
        "MaxConcurrentTransforms": _CONCURRENT,
        "MaxPayloadInMB": _MAX_PAYLOAD_MB,
        "ModelClientConfig": {
            "InvocationsTimeoutInSeconds": _INVOCATION_SECONDS,
            "InvocationsMaxRetries": _INVOCATION_RETRIES,
        },
        # One line a request: lines are groups of records already, see record_groups.
        "BatchStrategy": "SingleRecord",
        # The server's own patience with a worker is an endpoint's, whose callers wait a minute.
        "Environment": {"SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": str(_INVOCATION_SECONDS)},
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": f"{bucket}/{shards_prefix(batch_id)}",
                }
            },
            "ContentType": "application/jsonlines",
            "CompressionType": "None",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": f"{bucket}/{output_prefix(batch_id).rstrip('/')}",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
            "KmsKeyId": environment.kms_key_arn,
        },
        "TransformResources": resources,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(environment.tags.items())],
    }


def _wait_seconds(cursor: Mapping[str, Any], instance_count: int) -> int:
    """Short for a short job, and long enough for a long one not to use up its execution."""
    longest: float = max(cursor["accepted"] / _RECORDS_A_SECOND, cursor["size"] / _BYTES_A_SECOND)
    wait = math.ceil(longest / instance_count / _ROUNDS)
    return min(max(wait, _LEAST_WAIT), _LONGEST_WAIT)
