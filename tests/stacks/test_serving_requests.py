"""The requests that CloudFormation sends for the Model stack to the other services."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.model_validator import check_request
from tests.support.resolved_template import Resolver

STAGES = ["local", "dev", "prod"]


@pytest.fixture
def resources(templates):
    def find(stage: str, kind: str) -> list[dict[str, Any]]:
        synthesised = templates(stage)
        return Resolver(synthesised).resources(synthesised["Model"], kind)

    return find


@pytest.mark.parametrize("stage", STAGES)
def test_put_metric_alarm(resources, stage):
    alarms = resources(stage, "AWS::CloudWatch::Alarm")
    assert alarms
    for properties in alarms:
        assert check_request("cloudwatch", "PutMetricAlarm", properties) == []


def test_register_scalable_target(resources):
    targets = resources("prod", "AWS::ApplicationAutoScaling::ScalableTarget")
    assert targets
    for properties in targets:
        assert check_request("application-autoscaling", "RegisterScalableTarget", properties) == []


def test_put_scaling_policy(resources):
    [target] = resources("prod", "AWS::ApplicationAutoScaling::ScalableTarget")
    policies = resources("prod", "AWS::ApplicationAutoScaling::ScalingPolicy")
    assert policies
    of_target = {k: target[k] for k in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    for properties in policies:
        request = {k: v for k, v in properties.items() if k != "ScalingTargetId"} | of_target
        assert check_request("application-autoscaling", "PutScalingPolicy", request) == []


@pytest.mark.parametrize("stage", STAGES)
def test_put_rule(resources, stage):
    [properties] = (
        rule for rule in resources(stage, "AWS::Events::Rule") if "ScheduleExpression" in rule
    )
    request = {k: v for k, v in properties.items() if k != "Targets"}
    assert check_request("events", "PutRule", {"Name": "generated", **request}) == []
    targets = {"Rule": "generated", "Targets": properties["Targets"]}
    assert check_request("events", "PutTargets", targets) == []


def test_a_wait_is_required_of_every_kind_of_update(resources):
    """Optional in CloudFormation's schema, required by the API."""
    [endpoint] = resources("dev", "AWS::SageMaker::Endpoint")
    routing = endpoint["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["Type"] == "ALL_AT_ONCE"
    assert check_request("sagemaker", "CreateEndpoint", endpoint) == []
    del routing["WaitIntervalInSeconds"]
    assert check_request("sagemaker", "CreateEndpoint", endpoint) != []
