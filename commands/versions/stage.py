"""What AWS knows of a stage: the versions deployed so far, and where their bakes lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from commands.target import Target
from commands.versions.bakes import Bakes
from contract.names import StackPart
from stage.settings import Settings


class VersionsError(Exception):
    """A command cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True)
class Version:
    """One deployment, as the deployment parameter told it from then on.

    number: the parameter's own, counted from 1. at: when it was written, after the smoke test.
    by: who wrote it, as far as AWS says; usually CloudFormation's role.
    """

    number: int
    at: datetime
    by: str
    bake_id: str
    model_id: str
    model_version: str
    dimension: int
    corpus_sha256: str


@dataclass(frozen=True)
class Stage:
    """A stage where it is deployed."""

    settings: Settings
    target: Target

    @cached_property
    def bakes(self) -> Bakes:
        """Of the artifacts bucket. Raises VersionsError when there is none."""
        stack = self._stack("Foundation")
        for output in stack.get("Outputs", []):
            # What the Model stack imports of it; nothing more than DescribeStacks is needed.
            if output["OutputKey"].startswith("ExportsOutputRefStorageArtifacts"):
                return Bakes(self.target.client("s3"), output["OutputValue"])
        raise VersionsError(
            f"The stack {stack['StackName']} tells of no artifacts bucket. Is it being deployed?"
        )

    def deployed(self) -> Version | None:
        """The version that is deployed now; None when none is."""
        try:
            answer = self.target.client("ssm").get_parameter(
                Name=self.settings.names.deployment_parameter
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return None
            raise
        return _version(answer["Parameter"])

    def history(self) -> list[Version]:
        """Every version that Parameter Store remembers (the last 100), newest first."""
        pages = (
            self.target.client("ssm")
            .get_paginator("get_parameter_history")
            .paginate(Name=self.settings.names.deployment_parameter)
        )
        try:
            found = [_version(each) for page in pages for each in page["Parameters"]]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return []
            raise
        return sorted((v for v in found if v), key=lambda v: v.number, reverse=True)

    def refuse_unless_at_rest(self) -> None:
        """Raises VersionsError while CloudFormation works on the Model stack, or is stuck."""
        stack = self._stack("Model")
        if not stack["StackStatus"].endswith("_COMPLETE"):
            raise VersionsError(
                f"The stack {stack['StackName']} is {stack['StackStatus']}. Wait until a deployment"
                " has ended; mend one that failed."
            )

    def _stack(self, part: StackPart) -> dict[str, Any]:
        name = self.settings.names.stack(part)
        try:
            answer = self.target.client("cloudformation").describe_stacks(StackName=name)
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            raise VersionsError(
                f"Stage {self.settings.stage} is not deployed in {self.target.region}: there is no"
                f" stack {name}."
            ) from None
        stack: dict[str, Any] = answer["Stacks"][0]
        return stack


def _version(parameter: dict[str, Any]) -> Version | None:
    """None where the value is not one that this app writes."""
    try:
        told = json.loads(parameter["Value"])
        return Version(
            parameter["Version"],
            parameter["LastModifiedDate"],
            parameter.get("LastModifiedUser", "").rpartition("/")[2],
            told["bake_id"],
            told["model_id"],
            told["model_version"],
            int(told["dimension"]),
            told["corpus_sha256"],
        )
    except (KeyError, TypeError, ValueError):
        return None
