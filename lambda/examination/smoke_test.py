"""The custom resource Custom::SmokeTest: a deployment succeeds only if its endpoints answer right.

SageMaker calls an endpoint in service as soon as its server responds, whatever the model does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from boto_config import PATIENT
from custom_resource import answer, is_rolling_back
from examination.endpoint import Endpoint
from examination.examine import examine

# Kept back of the function's time for the answer to CloudFormation.
_RESERVE_SECONDS = 30.0
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)
# SageMaker lets a model compute for 60 seconds. `Endpoint` repeats requests itself.
_INVOKE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=65)

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


class SmokeTest:
    """Answers CloudFormation; during a rollback it only logs the problems."""

    def __init__(self) -> None:
        self._runtime = boto3.client("sagemaker-runtime", config=_INVOKE)
        self._sagemaker = boto3.client("sagemaker", config=PATIENT)
        self._cloudformation = boto3.client("cloudformation", config=PATIENT)

    def handle(self, event: Mapping[str, Any], remaining_seconds: float) -> None:
        physical_id = event.get("PhysicalResourceId", event["LogicalResourceId"])
        if event["RequestType"] == "Delete":
            answer(event, "SUCCESS", physical_id=physical_id)
            return
        give_up_at = time.monotonic() + remaining_seconds - _RESERVE_SECONDS
        try:
            problems = self._test(event["ResourceProperties"], give_up_at)
        except Exception as error:
            # CloudFormation gets its answer from nowhere else, so no error may escape.
            logger.exception("The smoke test broke")
            problems = [f"The smoke test could not be carried out: {error!r}."]
        for problem in problems:
            logger.error(problem)
        if problems and not is_rolling_back(self._cloudformation, event["StackId"]):
            answer(event, "FAILED", physical_id=physical_id, reason=" ".join(problems))
        else:
            answer(event, "SUCCESS", physical_id=physical_id)

    def _test(self, properties: Mapping[str, Any], give_up_at: float) -> list[str]:
        """Examines every endpoint; returns a sentence for each that fails."""
        tolerance = float(properties["Tolerance"])
        problems = []
        # Without endpoints, while switched off, there still are configurations and devices.
        for name, configuration, device in zip(
            properties["EndpointNames"],
            properties["EndpointConfigNames"],
            properties["Devices"],
            strict=False,
        ):
            endpoint = Endpoint(self._runtime, name, give_up_at, _PAUSES_SECONDS)
            problem = self._other_configuration(name, configuration) or _problem(
                endpoint, properties["BakeId"], device, tolerance
            )
            if problem:
                problems.append(f"Endpoint {name} fails the smoke test: {problem.rstrip('.')}.")
        return problems

    def _other_configuration(self, name: str, expected: str) -> str | None:
        """What it serves with instead of what CloudFormation gave it, and why; None if nothing."""
        found = self._sagemaker.describe_endpoint(EndpointName=name)
        if found["EndpointConfigName"] == expected:
            return None
        reason = found.get("FailureReason", "SageMaker gives no reason")
        return (
            f"SageMaker rolled its update back ({reason}): it serves with"
            f" {found['EndpointConfigName']} instead of {expected}"
        )


def _problem(endpoint: Endpoint, bake_id: str, device: str, tolerance: float) -> str | None:
    found = examine(endpoint, tolerance)
    for other in found.met - {bake_id}:
        return f"it serves bake {other} instead of {bake_id}"
    for other in found.devices:
        if other.startswith("cuda") != (device == "gpu"):
            return f"it computes on {other}, but should on its {device.upper()}"
    if found.problems:
        return found.problems[0]
    return None if found.answered else "the time ran out before its probes could be asked"


@cache
def _smoke_test() -> SmokeTest:
    return SmokeTest()


def handler(event: dict[str, Any], context: Any) -> None:
    """Tests each endpoint and answers CloudFormation."""
    _smoke_test().handle(event, context.get_remaining_time_in_millis() / 1000)
