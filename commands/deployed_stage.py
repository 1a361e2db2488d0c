"""What AWS knows of a stage: the versions deployed so far, and where their bakes lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from commands.bakes import Bakes, Indexes
from commands.errors import CommandError
from commands.target import Target
from contract import outputs
from contract.deployment import Deployment
from contract.names import StackPart
from contract.vector_index import VectorIndex

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

    @cached_property
    def indexes(self) -> Indexes:
        """Of S3 Vectors, for a stage with that engine."""
        return Indexes(
            self.target.client("s3"),
            self.bakes.bucket,
            self.target.client("s3vectors"),
            self.settings.names.vector_bucket,
        )

    @property
    def versions(self) -> Bakes:
        """What holds the stage's versions: its bakes or, with that engine, its indexes."""
        return self.indexes if self.settings.search.has_vector_index else self.bakes

    def deployed(self) -> Deployment | None:
        """The version that is deployed now; None when none is."""
        try:
            answer = self.target.client("ssm").get_parameter(Name=self._parameter)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return None
            raise
        return self._deployment(answer["Parameter"])

    @property
    def _parameter(self) -> str:
        names = self.settings.names
        if self.settings.search.has_vector_index:
            return names.index_parameter
        return names.deployment_parameter

    def history(self) -> list[Version]:
        """Every version that Parameter Store remembers (the last 100), newest first.

        With an index of S3 Vectors, a version is an index: its id stands for the bake's.
        """
        return self._history(self._parameter)

    def artifacts(self) -> list[Version]:
        """Every artifact that was deployed, as Parameter Store remembers it, newest first."""
        return self._history(self.settings.names.deployment_parameter)

    def _history(self, parameter: str) -> list[Version]:
        pages = (
            self.target.client("ssm")
            .get_paginator("get_parameter_history")
            .paginate(Name=parameter)
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
            if (deployment := self._deployment(each))
        ]
        return sorted(found, key=lambda version: version.number, reverse=True)

    def _deployment(self, parameter: Mapping[str, Any]) -> Deployment | None:
        """None where the value is not one that this app writes."""
        try:
            if parameter["Name"] == self.settings.names.index_parameter:
                index = VectorIndex.from_json(parameter["Value"])
                model_id, model_version = self._model(index.bake_id)
                return Deployment(
                    bake_id=index.index_id,
                    model_id=model_id,
                    model_version=model_version,
                    dimension=index.dimension,
                    corpus_sha256=index.corpus_sha256,
                )
            return Deployment.from_json(parameter["Value"])
        except ValueError:
            return None

    def _model(self, bake_id: str) -> tuple[str, str]:
        """Id and version of an artifact's model; `gone` where it was pruned."""
        if bake_id not in self._models:
            marker = self.bakes.marker(bake_id) or {}
            self._models[bake_id] = (
                marker.get("model_id", "gone"),
                marker.get("model_version", ""),
            )
        return self._models[bake_id]

    @cached_property
    def _models(self) -> dict[str, tuple[str, str]]:
        return {}

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
