"""What is deployed now: values in SSM, written after each smoke test and read at run time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from batch.steps.errors import BatchError

_SHOWN = ("bake_id", "model_id", "model_version", "dimension")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The model that a batch would meet.

    Attributes:
        model_name: SageMaker's name for it, on the processor of the transform job.
        about: bake_id, model_id, model_version and dimension.
    """

    model_name: str
    about: dict[str, Any]

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self.about["dimension"])


def read_deployment(ssm: BaseClient, parameter: str, model_name_parameter: str) -> Deployment:
    """Read what is deployed now.

    Raises:
        BatchError: nothing is deployed.
    """
    about = json.loads(_value(ssm, parameter))
    return Deployment(
        model_name=_value(ssm, model_name_parameter), about={name: about[name] for name in _SHOWN}
    )


def _value(ssm: BaseClient, name: str) -> str:
    try:
        value: str = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            raise BatchError(
                f"No model is deployed (there is no parameter {name}). Deploy, then try again."
            ) from error
        raise
    return value
