"""What is deployed now: a small JSON object in SSM, written after each smoke test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from front_door.aws_calls import AwsError, Parameters
from rest.errors import ApiError

_FRESH_SECONDS: Final = 30

logger = Logger(child=True)


class Deployment(BaseModel):
    """The bake that the endpoints serve."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bake_id: str
    model_id: str
    model_version: str
    dimension: int = Field(gt=0)
    corpus_sha256: str


class DeploymentParameter:
    """The parameter `name`, read at most every 30 seconds.

    It is read at run time because it changes with the corpus, and a new corpus must not change
    this function. While SSM cannot be read, the last value that was read stays in use.
    """

    def __init__(
        self, name: str, parameters: Parameters, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._parameters = parameters
        self._clock = clock
        self._value: Deployment | None = None
        self._read_again = clock()

    def get(self) -> Deployment:
        """The deployment; ApiError (model_unavailable) if it has never been readable."""
        if self._value is None or self._clock() >= self._read_again:
            self._refresh()
        if self._value is None:
            raise ApiError(
                "model_unavailable",
                "What is deployed cannot be read yet. Try again in a moment.",
            )
        return self._value

    def _refresh(self) -> None:
        self._read_again = self._clock() + _FRESH_SECONDS
        try:
            parameter = self._parameters.value(self._name)
            self._value = Deployment.model_validate_json(parameter)
        except (AwsError, ValidationError):
            logger.exception("deployment parameter not readable", stale=self._value is not None)
