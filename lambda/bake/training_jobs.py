"""The training jobs of one bake: their names, the request that starts one, and its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from bake.request_types import retype_structure

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker.type_defs import DescribeTrainingJobResponseTypeDef

MAX_NAME_LENGTH = 63
MAX_ATTEMPTS = 99
_HASH_LENGTH = 12

# The workflow names each field that it hands to CreateTrainingJob, and a missing one would end
# the execution. So these are always present, and no others are let through but VpcConfig, which the
# workflow of a private stage names too.
_EMPTY: Mapping[str, Any] = {
    "HyperParameters": {},
    "EnableNetworkIsolation": False,
    "Environment": {},
    "Tags": [],
}
WORKFLOW_FIELDS = frozenset(
    {
        "TrainingJobName",
        "AlgorithmSpecification",
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "StoppingCondition",
        *_EMPTY,
    }
)
_PRIVATE_FIELDS = WORKFLOW_FIELDS | {"VpcConfig"}


def job_name(prefix: str, bake_id: str, attempt: int) -> str:
    """Prefix, hash and attempt; the prefix is cut if SageMaker's 63 characters do not suffice."""
    tail = f"-{bake_id[:_HASH_LENGTH]}-{attempt}"
    return prefix[: MAX_NAME_LENGTH - len(tail)] + tail


class TrainingJobs:
    """The training jobs of one bake, whose names begin with `prefix`."""

    def __init__(self, sagemaker: SageMakerClient, prefix: str, bake_id: str) -> None:
        self._sagemaker = sagemaker
        self._prefix = prefix
        self._bake_id = bake_id

    def request(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """The CreateTrainingJob request, complete, typed, and with a name.

        The name is the first that SageMaker does not know, since no name can be used twice;
        but a job of this bake that is in progress and writes to the same place is joined.

        Args:
            properties: the TrainingJob property of the custom resource.

        Raises:
            ValueError: a wrong field, or too many attempts; the message names it.
        """
        shape = self._sagemaker.meta.service_model.operation_model("CreateTrainingJob").input_shape
        assert shape is not None
        request = {**_EMPTY, **retype_structure(properties, shape, "TrainingJob")}
        output = properties.get("OutputDataConfig", {}).get("S3OutputPath")
        request["TrainingJobName"] = self._choose_name(output)
        if set(request) not in (WORKFLOW_FIELDS, _PRIVATE_FIELDS):
            raise ValueError(
                f"TrainingJob must have the fields {', '.join(sorted(WORKFLOW_FIELDS))}; these are"
                f" missing or not among them: {', '.join(sorted(set(request) ^ WORKFLOW_FIELDS))}."
            )
        return request

    def stop(self) -> None:
        """Stops each job of this bake that is running."""
        for name, job in self._known():
            if job["TrainingJobStatus"] == "InProgress":
                stop_job(self._sagemaker, name)

    def _choose_name(self, output: str | None) -> str:
        attempt = 0
        for name, job in self._known():
            attempt += 1
            if (
                job["TrainingJobStatus"] == "InProgress"
                and job["OutputDataConfig"]["S3OutputPath"] == output
            ):
                return name
        if attempt == MAX_ATTEMPTS:
            raise ValueError(
                f"All {MAX_ATTEMPTS} names for training jobs of bake {self._bake_id} are taken."
                f" Delete old jobs whose names begin with {self._prefix}."
            )
        return job_name(self._prefix, self._bake_id, attempt + 1)

    def _known(self) -> Iterator[tuple[str, DescribeTrainingJobResponseTypeDef]]:
        """Name and description of each attempt, up to the first that SageMaker does not know."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            name = job_name(self._prefix, self._bake_id, attempt)
            try:
                yield name, self._sagemaker.describe_training_job(TrainingJobName=name)
            except ClientError as error:
                if _is_absent(error):
                    return
                raise


def stop_job(sagemaker: SageMakerClient, name: str) -> None:
    """Stops a job unless it has ended or never was."""
    try:
        sagemaker.stop_training_job(TrainingJobName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException" and not _is_absent(error):
            raise


def _is_absent(error: ClientError) -> bool:
    """Whether SageMaker does not know the job, which it calls a validation error."""
    code = error.response["Error"]["Code"]
    message = error.response["Error"].get("Message", "").lower()
    return code == "ResourceNotFound" or (code == "ValidationException" and "not found" in message)
