"""Whether the stage's endpoints are switched on: `on` or `off` in SSM, beside the endpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit

from front_door.answers import HealthReport
from front_door.aws_calls import AwsError, Parameters
from front_door.front_door_metrics import metrics
from rest.errors import ApiError

_FRESH_SECONDS: Final = 10

logger = Logger(child=True)


class ServingSwitch:
    """The parameter `name` of a stage, read at most every 10 seconds, and only when asked.

    Requests that an endpoint answers never ask. While SSM cannot be read, the last value that was
    read counts, and before that `on`: an endpoint that is missing is then merely unavailable.
    """

    def __init__(
        self,
        name: str,
        stage: str,
        parameters: Parameters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._stage = stage
        self._parameters = parameters
        self._clock = clock
        self._value = "on"
        self._read_again = clock()

    def is_off(self) -> bool:
        """Whether somebody, or the schedule, has switched the endpoints off."""
        if self._clock() >= self._read_again:
            self._read_again = self._clock() + _FRESH_SECONDS
            try:
                self._value = self._parameters.value(self._name)
            except AwsError:
                logger.exception("serving parameter not readable")
        return self._value == "off"

    def refusal(self, report: HealthReport | None = None) -> ApiError:
        """What callers are told while it is off.

        It is counted, so that the alarm for 5xx can tell what is meant from what is broken.
        """
        metrics.add_metric("SwitchedOff", MetricUnit.Count, 1)
        return ApiError(
            "serving_off",
            f"The endpoints of stage {self._stage} are switched off, so that they cost nothing. "
            f"`make on STAGE={self._stage}` switches them on, which takes some minutes. "
            "Batches run meanwhile.",
            details=report,
        )
