"""The function's environment variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
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
        """Each field from the variable of its name; raises KeyError for a missing one."""
        values: dict[str, Any] = {each.name: variables[each.name.upper()] for each in fields(cls)}
        values["instance_count"] = int(values["instance_count"])
        values["tags"] = json.loads(values["tags"])
        values["price"] = json.loads(values["price"] or "null")
        return cls(**values)
