"""DeploymentConfigs: their steps, and those that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from local_aws.context import Context
from local_aws.iam.principals import make_administrator_key
from local_aws.sagemaker.deployment import Alarms, DeploymentError, DeploymentPlan, Step
from local_aws.service_errors import ApiError


def config(kind: str, wait: int = 30, termination: int | None = 60, **more: Any) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **more}
    }
    if termination is not None:
        policy["TerminationWaitInSeconds"] = termination
    return {"BlueGreenUpdatePolicy": policy}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def count(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


@pytest.mark.parametrize(
    ("given", "instances", "steps"),
    [
        (None, 1, [(1.0, 0)]),
        ({}, 1, [(1.0, 0)]),
        (config("ALL_AT_ONCE"), 1, [(1.0, 60)]),
        (config("ALL_AT_ONCE", termination=None), 1, [(1.0, 0)]),
        (config("CANARY", CanarySize=percent(20)), 2, [(0.2, 30), (1.0, 60)]),
        (config("CANARY", CanarySize=count(1)), 4, [(0.25, 30), (1.0, 60)]),
        (
            config("LINEAR", LinearStepSize=percent(40)),
            2,
            [(0.4, 30), (0.8, 30), (1.0, 60)],
        ),
        (config("LINEAR", LinearStepSize=count(1)), 3, [(1 / 3, 30), (2 / 3, 30), (1.0, 60)]),
    ],
)
def test_steps(
    given: dict[str, Any] | None, instances: int, steps: list[tuple[float, float]]
) -> None:
    plan = DeploymentPlan.of(given, instances)
    assert plan.steps == [Step(*step) for step in steps]
    assert plan.alarms == []


def test_alarms_are_taken_along() -> None:
    guarded = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}, {"AlarmName": "b"}]}}
    assert DeploymentPlan.of({**config("ALL_AT_ONCE"), **guarded}, 1).alarms == ["a", "b"]
    assert DeploymentPlan.of(guarded, 1).alarms == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (config("CANARY"), "CanarySize must be specified"),
        (config("LINEAR", CanarySize=percent(20)), "LinearStepSize must be specified"),
        (config("CANARY", CanarySize=percent(51)), "at most 50%"),
        (config("CANARY", CanarySize=count(2)), "at most 50%"),
        (config("LINEAR", LinearStepSize=percent(5)), "at least 10% and at most 50%"),
        ({"RollingUpdatePolicy": {}}, "has no rolling updates"),
        (
            {
                "BlueGreenUpdatePolicy": {
                    **config("ALL_AT_ONCE", termination=700)["BlueGreenUpdatePolicy"],
                    "MaximumExecutionTimeoutInSeconds": 600,
                }
            },
            "MaximumExecutionTimeoutInSeconds must be larger",
        ),
    ],
)
def test_what_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        DeploymentPlan.of(given, 3)


@pytest.mark.parametrize("member", ["MetricAlarms", "CompositeAlarms"])
def test_metric_alarms_and_composite_alarms_are_asked_for(tmp_path: Path, member: str) -> None:
    context = Context("http://127.0.0.1:1", "us-east-1", tmp_path)
    make_administrator_key(context.account_id, context.state_dir)
    client = context.client("cloudwatch")
    asked = {"AlarmNames": ["a", "b"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    states = {"a": "INSUFFICIENT_DATA", "b": "ALARM"}
    found = [{"AlarmName": name, "StateValue": state} for name, state in states.items()]
    alarms = Alarms(client, ["a", "b"])
    with Stubber(client) as stubber:
        for _ in range(2):
            stubber.add_response("describe_alarms", {member: found}, asked)
        stubber.add_response("describe_alarms", {member: found[:1]}, asked)
        alarms.check_exist()
        with pytest.raises(DeploymentError, match=r"in ALARM state: b$"):
            alarms.check_quiet()
        alarms.check_quiet()
