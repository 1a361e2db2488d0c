"""Asking the deployed endpoints in order, until one answers or the time is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from front_door.answers import ServedBy
from front_door.aws_calls import AwsError, RefusedError, SageMakerRuntime
from front_door.endpoint_failures import Failure, reason_of
from front_door.environment import Endpoint
from front_door.serving import ServingSwitch
from front_door.time_budget import TimeBudget
from rest.errors import ApiError

logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """An endpoint's answer: the JSON it sent, who it was, and who had failed before."""

    body: bytes
    instance_type: str
    failed: tuple[Failure, ...]

    def served_by(self) -> ServedBy:
        """What the caller is told about who answered."""
        return {
            "instance_type": self.instance_type,
            "failed_over_from": [failure.to_dict() for failure in self.failed],
        }


class Endpoints:
    """The endpoints of this deployment, in order of preference."""

    def __init__(
        self, deployed: Sequence[Endpoint], runtime: SageMakerRuntime, switch: ServingSwitch
    ) -> None:
        self.deployed = tuple(deployed)
        self._runtime = runtime
        self._switch = switch

    def ask(self, payload: bytes, budget: TimeBudget, instance_type: str | None = None) -> Answer:
        """The first answer to `payload`, from `instance_type` (default: the first) or the others.

        Raises ApiError: invalid_request when the caller is at fault, else serving_off, throttled,
        time_out, model_error or model_unavailable once every endpoint failed or the budget is
        spent.
        """
        order = self._order(instance_type)
        failed: list[Failure] = []
        for position, endpoint in enumerate(order):
            seconds = budget.attempt_seconds(others_left=len(order) - position - 1)
            if seconds is None:
                break
            try:
                with budget.waiting():
                    body = self.invoke(endpoint, payload, seconds)
            except AwsError as error:
                failed.append(Failure(endpoint.instance_type, reason_of(error)))
                _log_failure(endpoint, error)
            else:
                return Answer(body, endpoint.instance_type, tuple(failed))
        if any(failure.reason == "not_found" for failure in failed) and self._switch.is_off():
            raise self._switch.refusal()
        raise _nobody_answered(order, failed)

    def invoke(self, endpoint: Endpoint, payload: bytes, seconds: float) -> bytes:
        """One endpoint's answer within `seconds`; AwsError if there is none."""
        return self._runtime.invoke(endpoint.endpoint_name, payload, seconds)

    def _order(self, chosen: str | None) -> list[Endpoint]:
        if chosen is None:
            return list(self.deployed)
        first = [endpoint for endpoint in self.deployed if endpoint.instance_type == chosen]
        if not first:
            names = ", ".join(endpoint.instance_type for endpoint in self.deployed)
            raise ApiError(
                "invalid_request",
                f"instance_type: not one that is deployed; choose one of {names}.",
                field="instance_type",
            )
        return first + [e for e in self.deployed if e.instance_type != chosen]


def _log_failure(endpoint: Endpoint, error: AwsError) -> None:
    refused = error if isinstance(error, RefusedError) else None
    # Neither the message nor the original one: they may quote the caller's text.
    logger.warning(
        "endpoint failed",
        endpoint_name=endpoint.endpoint_name,
        error=type(error).__name__,
        error_code=refused and refused.code,
        original_status=refused and refused.fields.get("OriginalStatusCode"),
    )


def _nobody_answered(order: Sequence[Endpoint], failed: Sequence[Failure]) -> ApiError:
    reasons = [failure.reason for failure in failed]
    not_asked = order[len(failed) :]
    told = "; ".join(
        [f"{failure.instance_type}: {failure.reason}" for failure in failed]
        + [f"{endpoint.instance_type}: not asked, no time was left" for endpoint in not_asked]
    )
    if not_asked or reasons[-1] == "time_out":
        return ApiError(
            "time_out", f"No endpoint answered in time ({told}). Send fewer or shorter texts."
        )
    if set(reasons) == {"throttled"}:
        return ApiError("throttled", f"Every endpoint is busy ({told}). Try again in a moment.")
    if "model_error" in reasons:
        return ApiError("model_error", f"The model failed ({told}). It is not your request.")
    return ApiError("model_unavailable", f"No endpoint could answer ({told}). Try again later.")
