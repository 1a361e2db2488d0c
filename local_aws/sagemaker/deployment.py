"""How an update moves the traffic: in which steps, watched for how long, by which alarms.

Rolling updates do not run here, and MaximumExecutionTimeoutInSeconds is checked but not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_aws.sagemaker.errors import invalid


class DeploymentError(Exception):
    """The update can not go on; the message is the endpoint's FailureReason."""


@dataclass(frozen=True)
class Step:
    """A share of the traffic for the new fleet, and how long it is watched with it.

    Args:
        share: From 0 (nothing) to 1 (everything).
        seconds: How long the alarms are watched before the next step, or the old fleet's end.
    """

    share: float
    seconds: float


@dataclass(frozen=True)
class DeploymentPlan:
    """A DeploymentConfig in steps; the last one's share is 1.

    Args:
        steps: At least one.
        alarms: Names of the CloudWatch alarms of which any ends the update.
    """

    steps: Sequence[Step]
    alarms: Sequence[str] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any] | None, instances: int) -> DeploymentPlan:
        """The plan of an UpdateEndpoint; None moves everything at once, unwatched.

        Args:
            config: The request's DeploymentConfig.
            instances: Instances of the new fleet.

        Raises:
            ApiError: For sizes that SageMaker does not allow, and for rolling updates.
        """
        config = config or {}
        if "RollingUpdatePolicy" in config:
            raise invalid("Rolling updates do not run here: give a BlueGreenUpdatePolicy.")
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
    """The shares before the last one, which is everything."""
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
    """What CloudWatch says of the alarms that guard an update.

    Args:
        cloudwatch: Client of CloudWatch.
        names: Metric alarms or composite alarms; none is fine.
    """

    def __init__(self, cloudwatch: Any, names: Sequence[str]) -> None:
        self._cloudwatch = cloudwatch
        self._names = list(names)

    def check_exist(self) -> None:
        """Refuses alarms that are not there.

        Raises:
            ApiError: Naming them.
        """
        absent = sorted(set(self._names) - self._states().keys())
        if absent:
            raise invalid(f"Could not find the CloudWatch alarms {', '.join(absent)}.")

    def check_quiet(self) -> None:
        """Ends the update when an alarm rings.

        Raises:
            DeploymentError: Naming those in state ALARM.
        """
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
