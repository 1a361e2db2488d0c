"""The action "prepare": the transform job for a batch; and the end of jobs that nobody awaits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from batch.steps import BatchError
from batch.steps.environment import Environment
from contract.batch_objects import (
    CONCURRENT,
    INVOCATION_SECONDS,
    MAX_ATTEMPTS,
    output_prefix,
    shards_prefix,
    transform_job_name,
    transform_job_names,
)
from contract.deployment import Deployment

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient

# A group of records stays below 1 MB, and its answer below 5 MB.
_MAX_PAYLOAD_MB = 6
_INVOCATION_RETRIES = 3

_MIN_WAIT, _MAX_WAIT = 3, 300
# An execution may have 25,000 events; each round of waiting and looking takes ten.
_ROUNDS = 2000
# What the slowest machine does with the largest model, of long texts.
_RECORDS_PER_SECOND, _BYTES_PER_SECOND = 2, 2000

# For SageMaker a job that is unknown or has ended is a validation error too.
_NOTHING_TO_STOP = {"ResourceNotFound", "ResourceNotFoundException", "ValidationException"}


def prepare(
    environment: Environment, deployment: Deployment, model_name: str, event: Mapping[str, Any]
) -> dict[str, Any]:
    """Makes the CreateTransformJob request for the shards that were written.

    Args:
        model_name: SageMaker's name for the deployed model, on the processor of the job.
        event: with batch, cursor, and attempt: how many attempts there were (0 or null: none).

    Returns:
        transform_job (the request, always with the same fields, since the workflow names each),
        deployment, wait_seconds between two looks at the job, attempt (the number of this one).

    Raises:
        BatchError: there is nothing to embed, or nothing to embed it with.
    """
    batch, cursor = event["batch"], event["cursor"]
    attempt = (event.get("attempt") or 0) + 1
    _check(cursor, deployment, attempt)
    # More instances than shards would idle.
    instance_count = min(batch["instance_count"], cursor["shards"])
    shown = asdict(deployment)
    del shown["corpus_sha256"]  # the vectors of a batch do not depend on it
    return {
        "transform_job": _request(
            environment, model_name, batch["batch_id"], instance_count, attempt
        ),
        "deployment": shown,
        "wait_seconds": _wait_seconds(cursor, instance_count),
        "attempt": attempt,
    }


def stop_jobs(sagemaker: SageMakerClient, prefix: str, batch_id: str) -> int:
    """Stops each running job of a batch and returns how many there were."""
    stopped = 0
    for name in transform_job_names(prefix, batch_id):
        try:
            sagemaker.stop_transform_job(TransformJobName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOTHING_TO_STOP:
                raise
        else:
            stopped += 1
    return stopped


def _check(cursor: Mapping[str, Any], deployment: Deployment, attempt: int) -> None:
    if attempt > MAX_ATTEMPTS:
        raise BatchError(
            f"The model was replaced {MAX_ATTEMPTS} times before the transform job could begin."
            " Start a new batch once no deployment is running."
        )
    if not cursor["accepted"]:
        lines = f"{cursor['rejected']:,} lines were rejected, {cursor['blank']:,} are blank"
        raise BatchError(f"The file has no record that can be embedded: {lines}.")
    if deployment.dimension > cursor["dimension"]:
        raise BatchError(
            f"A model with larger vectors ({deployment.dimension} numbers instead of"
            f" {cursor['dimension']}) was deployed while the file was read. Start a new batch."
        )


def _request(
    environment: Environment, model_name: str, batch_id: str, instance_count: int, attempt: int
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
        "ModelName": model_name,
        "MaxConcurrentTransforms": CONCURRENT,
        "MaxPayloadInMB": _MAX_PAYLOAD_MB,
        "ModelClientConfig": {
            "InvocationsTimeoutInSeconds": INVOCATION_SECONDS,
            "InvocationsMaxRetries": _INVOCATION_RETRIES,
        },
        # One line per request: each line is a group of records already, see RecordGroups.
        "BatchStrategy": "SingleRecord",
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
    """Short for a short job, but long enough for a long one not to use up its execution."""
    longest: float = max(
        cursor["accepted"] / _RECORDS_PER_SECOND, cursor["size"] / _BYTES_PER_SECOND
    )
    wait = math.ceil(longest / instance_count / _ROUNDS)
    return min(max(wait, _MIN_WAIT), _MAX_WAIT)
