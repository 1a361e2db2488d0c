"""How an update moves the traffic: its steps, their duration, and the alarms that guard them.

Rolling updates are refused; MaximumExecutionTimeoutInSeconds is checked but not enforced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_aws.sagemaker.resources import invalid


class DeploymentError(Exception):
    """The update failed; the message becomes the endpoint's FailureReason."""


@dataclass(frozen=True)
class Step:
    """A share of the traffic for the new fleet, and how long it is observed.

    Args:
        share: From 0 (nothing) to 1 (everything).
        seconds: How long alarms are observed before the next step or the old fleet's end.
    """

    share: float
    seconds: float


@dataclass(frozen=True)
class DeploymentPlan:
    """A DeploymentConfig in steps; the last one's share is 1.

    Args:
        steps: At least one.
        alarms: Names of the CloudWatch alarms, any of which ends the update.
    """

    steps: Sequence[Step]
    alarms: Sequence[str] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any] | None, instances: int) -> DeploymentPlan:
        """The plan of an UpdateEndpoint. Without `config` everything moves at once.

        Args:
            config: The request's DeploymentConfig.
            instances: The number of instances of the new fleet.

        Raises:
            ApiError: SageMaker does not allow a size, or the update is a rolling one.
        """
        config = config or {}
        if "RollingUpdatePolicy" in config:
            raise invalid("The local AWS has no rolling updates: give a BlueGreenUpdatePolicy.")
        alarms = [
            alarm["AlarmName"]
            for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
            if "AlarmName" in alarm
        ]
        policy = config.get("BlueGreenUpdatePolicy")
        if policy is None:
            return cls([Step(1.0, 0.0)], alarms)
        routing = policy["TrafficRoutingConfiguration"]
        wait = float(routing["WaitIntervalInSeconds"])
        steps = [Step(share, wait) for share in _partial_shares(routing, instances)]
        steps.append(Step(1.0, float(policy.get("TerminationWaitInSeconds", 0))))
        longest = policy.get("MaximumExecutionTimeoutInSeconds")
        if longest is not None and longest < sum(step.seconds for step in steps):
            raise invalid(
                "MaximumExecutionTimeoutInSeconds must be larger than the total of "
                "WaitIntervalInSeconds and TerminationWaitInSeconds."
            )
        return cls(steps, alarms)


def _partial_shares(routing: Mapping[str, Any], instances: int) -> Iterator[float]:
    """The shares before the last step, which moves everything."""
    match routing["Type"]:
        case "CANARY":
            yield _share(routing, "CanarySize", instances, least=0.0)
        case "LINEAR":
            step = _share(routing, "LinearStepSize", instances, least=0.1)
            number = 1
            while number * step < 0.999:
                yield number * step
                number += 1


def _share(routing: Mapping[str, Any], member: str, instances: int, *, least: float) -> float:
    size = routing.get(member)
    if size is None:
        raise invalid(f"{member} must be specified for the traffic routing {routing['Type']}.")
    share = float(size["Value"]) / (100 if size["Type"] == "CAPACITY_PERCENT" else instances)
    if not least <= share <= 0.5:
        raise invalid(
            f"{member} must be {f'at least {least:.0%} and ' if least else ''}at most 50% of the "
            f"variant's total instance count, which is {instances}."
        )
    return share


class Alarms:
    """The CloudWatch alarms that guard an update.

    Args:
        names: Of metric or composite alarms; may be empty.
    """

    def __init__(self, cloudwatch: Any, names: Sequence[str]) -> None:
        self._cloudwatch = cloudwatch
        self._names = list(names)

    def check_exist(self) -> None:
        """Raises ApiError for alarms that do not exist."""
        absent = sorted(set(self._names) - self._states().keys())
        if absent:
            raise invalid(f"Could not find the CloudWatch alarms {', '.join(absent)}.")

    def check_quiet(self) -> None:
        """Raises DeploymentError if an alarm is in state ALARM."""
        ringing = sorted(name for name, state in self._states().items() if state == "ALARM")
        if ringing:
            raise DeploymentError(
                f"One or more configured CloudWatch alarms are in ALARM state: {', '.join(ringing)}"
            )

    def _states(self) -> dict[str, str]:
        if not self._names:
            return {}
        found = self._cloudwatch.describe_alarms(
            AlarmNames=self._names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        return {
            alarm["AlarmName"]: alarm["StateValue"]
            for kind in ("MetricAlarms", "CompositeAlarms")
            for alarm in found.get(kind, [])
        }
