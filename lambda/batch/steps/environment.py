"""The function's environment variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Environment:
    """What the deployment sets.

    Attributes:
        batch_bucket: holds inputs, shards and results.
        state_machine_arn: runs batches.
        transform_job_prefix: begins the names of transform jobs.
        deployment_parameter, model_name_parameter: SSM parameters that say what is deployed.
        instance_type: of transform jobs.
        instance_count: of a batch that a file started, which cannot ask for a number.
        volume_kms_key_id: for the disks of the instances; empty for instance types with disks of
            their own, which do not accept one.
        kms_key_arn: for the results.
        transform_ami_version: machine image of the instances; empty for SageMaker's choice.
        tags: of transform jobs.
        price: per_hour of one instance, currency and as_of; None if unknown.
    """

    batch_bucket: str
    state_machine_arn: str
    transform_job_prefix: str
    deployment_parameter: str
    model_name_parameter: str
    instance_type: str
    instance_count: int
    volume_kms_key_id: str
    kms_key_arn: str
    transform_ami_version: str
    tags: Mapping[str, str]
    price: Mapping[str, Any] | None

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """Raises KeyError for a missing variable."""
        return cls(
            batch_bucket=variables["BATCH_BUCKET"],
            state_machine_arn=variables["STATE_MACHINE_ARN"],
            transform_job_prefix=variables["TRANSFORM_JOB_PREFIX"],
            deployment_parameter=variables["DEPLOYMENT_PARAMETER"],
            model_name_parameter=variables["MODEL_NAME_PARAMETER"],
            instance_type=variables["INSTANCE_TYPE"],
            instance_count=int(variables["INSTANCE_COUNT"]),
            volume_kms_key_id=variables["VOLUME_KMS_KEY_ID"],
            kms_key_arn=variables["KMS_KEY_ARN"],
            transform_ami_version=variables["TRANSFORM_AMI_VERSION"],
            tags=json.loads(variables["TAGS"]),
            price=json.loads(variables["PRICE"] or "null"),
        )
