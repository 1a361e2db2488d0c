"""The transform jobs that a batch may have left running."""

from __future__ import annotations

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from contract.batch_objects import transform_job_names

# SageMaker calls it a validation error as well when it does not know a job, or the job has ended.
_NOTHING_TO_STOP = {"ResourceNotFound", "ResourceNotFoundException", "ValidationException"}


def stop_jobs(sagemaker: BaseClient, prefix: str, batch_id: str) -> int:
    """Stop each running job of a batch.

    Args:
        sagemaker: a boto3 client.
        prefix: what the jobs' names begin with.
        batch_id: whose.

    Returns:
        How many jobs were told to stop.
    """
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
