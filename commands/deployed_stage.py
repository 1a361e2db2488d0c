"""What AWS knows of a stage: the versions deployed so far, and where their bakes lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from commands.bakes import Bakes
from commands.errors import CommandError
from commands.target import Target
from contract import outputs
from contract.deployment import Deployment
from contract.names import StackPart

if TYPE_CHECKING:
    from stage.settings import Settings

# What stages have that were deployed before the output had a name of its own.
_FORMER_BUCKET_OUTPUT = "ExportsOutputRefStorageArtifacts"


@dataclass(frozen=True)
class Version:
    """One deployment.

    number: the parameter's, counted from 1. at: when it was written, after the smoke test.
    by: who wrote it, as far as AWS says; usually CloudFormation's role.
    """

    number: int
    at: datetime
    by: str
    deployment: Deployment

    @property
    def bake_id(self) -> str:
        return self.deployment.bake_id


@dataclass(frozen=True)
class DeployedStage:
    """A stage where it is deployed."""

    settings: Settings
    target: Target

    @cached_property
    def bakes(self) -> Bakes:
        """Of the artifacts bucket. Raises CommandError when there is none."""
        stack = self._stack("Foundation")
        for output in stack.get("Outputs", []):
            key = output["OutputKey"]
            if key == outputs.ARTIFACTS_BUCKET or key.startswith(_FORMER_BUCKET_OUTPUT):
                return Bakes(self.target.client("s3"), output["OutputValue"])
        raise CommandError(
            f"The stack {stack['StackName']} names no artifacts bucket. Is it being deployed?"
        )

    def deployed(self) -> Deployment | None:
        """What is deployed now; None when nothing is."""
        try:
            answer = self.target.client("ssm").get_parameter(
                Name=self.settings.names.deployment_parameter
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return None
            raise
        return _deployment(answer["Parameter"])

    def history(self) -> list[Version]:
        """Every version that Parameter Store remembers (the last 100), newest first."""
        pages = (
            self.target.client("ssm")
            .get_paginator("get_parameter_history")
            .paginate(Name=self.settings.names.deployment_parameter)
        )
        try:
            values = [each for page in pages for each in page["Parameters"]]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return []
            raise
        found = [
            Version(
                each["Version"],
                each["LastModifiedDate"],
                each.get("LastModifiedUser", "").rpartition("/")[2],
                deployment,
            )
            for each in values
            if (deployment := _deployment(each))
        ]
        return sorted(found, key=lambda version: version.number, reverse=True)

    def refuse_unless_at_rest(self) -> None:
        """Raises CommandError while CloudFormation works on the Model stack, or is stuck."""
        stack = self._stack("Model")
        if not stack["StackStatus"].endswith("_COMPLETE"):
            raise CommandError(
                f"The stack {stack['StackName']} is {stack['StackStatus']}. Wait until a deployment"
                " has finished; repair one that failed."
            )

    def _stack(self, part: StackPart) -> Mapping[str, Any]:
        name = self.settings.names.stack(part)
        if stack := self.target.find_stack(name):
            return stack
        raise CommandError(
            f"Stage {self.settings.stage} is not deployed in {self.target.region}: there is no"
            f" stack {name}."
        )


def _deployment(parameter: Mapping[str, Any]) -> Deployment | None:
    """None where the value is not one that this app writes."""
    try:
        return Deployment.from_json(parameter["Value"])
    except ValueError:
        return None
