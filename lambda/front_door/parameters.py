"""What SSM knows of the stage: what is deployed, and whether its endpoints are switched on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit

from contract.deployment import Deployment
from contract.metrics import SWITCHED_OFF
from contract.switch import OFF, ON
from front_door.answers import HealthReport
from front_door.aws import AWS_ERRORS, Aws
from front_door.environment import Environment, metrics
from rest.errors import ApiError

T = TypeVar("T")

_DEPLOYMENT_SECONDS: Final = 30
_SWITCH_SECONDS: Final = 10

logger = Logger(child=True)


class StageParameters:
    """Two parameters, each read when it is needed and then kept for some seconds.

    They are read at run time because a new corpus must not change this function. While SSM cannot
    be read, the last values stay in use; before the first, the switch counts as on, since an
    endpoint that is missing is then merely unavailable.
    """

    def __init__(
        self, environment: Environment, aws: Aws, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stage = environment.stage
        self._deployment: _Parameter[Deployment | None] = _Parameter(
            aws, environment.deployment_parameter, _DEPLOYMENT_SECONDS, None, clock
        )
        self._switch = _Parameter(aws, environment.serving_parameter, _SWITCH_SECONDS, ON, clock)

    def deployment(self) -> Deployment:
        """What is deployed; ApiError (model_unavailable) if it has never been readable."""
        deployment = self._deployment.get(Deployment.from_json)
        if deployment is None:
            raise ApiError(
                "model_unavailable", "What is deployed cannot be read yet. Try again in a moment."
            )
        return deployment

    def is_off(self) -> bool:
        """Whether somebody, or the schedule, has switched the endpoints off."""
        return self._switch.get(str) == OFF

    def refusal(self, report: HealthReport | None = None) -> ApiError:
        """The error while the endpoints are off.

        It is counted, so that the alarm for 5xx can tell what is meant from what is broken.
        """
        metrics.add_metric(SWITCHED_OFF, MetricUnit.Count, 1)
        return ApiError(
            "serving_off",
            f"The endpoints of stage {self._stage} are switched off, so that they cost nothing. "
            f"`make on STAGE={self._stage}` switches them on, which takes some minutes. "
            "Batches still run.",
            details=report,
        )


class _Parameter(Generic[T]):
    """One parameter, read at most every `seconds` once it has a value."""

    def __init__(
        self, aws: Aws, name: str, seconds: float, value: T, clock: Callable[[], float]
    ) -> None:
        self._aws = aws
        self._name = name
        self._seconds = seconds
        self._value = value
        self._clock = clock
        self._read_again = clock()

    def get(self, parse: Callable[[str], T]) -> T:
        if self._value is None or self._clock() >= self._read_again:
            self._read_again = self._clock() + self._seconds
            try:
                self._value = parse(self._aws.parameter(self._name))
            except AWS_ERRORS:
                logger.exception("parameter not readable", parameter=self._name)
        return self._value
