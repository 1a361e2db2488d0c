"""The on/off switch and the probe in the template."""

from __future__ import annotations

import json

import pytest

from contract.switch import OFF, ON, PARAMETER
from stage.settings import Settings
from tests.support.synthesis import arn_ends, of_type, properties

ON_OR_OFF = {"Fn::If": ["IsServing", ON, OFF]}
# What is billed by the hour, and what depends on it.
ONLY_WHILE_ON = {
    "AWS::SageMaker::Endpoint",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
}


class TestSwitch:
    def test_is_a_parameter_that_is_on_by_default(self, model: dict) -> None:
        parameter = model["Parameters"][PARAMETER]
        assert parameter["Default"] == ON
        assert parameter["AllowedValues"] == [ON, OFF]
        assert model["Conditions"] == {"IsServing": {"Fn::Equals": [{"Ref": PARAMETER}, ON]}}

    def test_removes_what_is_billed_by_the_hour_and_nothing_else(self, model: dict) -> None:
        for name, resource in model["Resources"].items():
            conditional = resource["Type"] in ONLY_WHILE_ON
            assert resource.get("Condition") == ("IsServing" if conditional else None), name

    def test_nothing_that_stays_needs_what_goes(self, model: dict) -> None:
        """Otherwise CloudFormation would reject the template when switching off."""
        resources = model["Resources"]
        going = {name for name, r in resources.items() if "Condition" in r}
        assert going
        for name, resource in resources.items():
            if name not in going:
                assert going.isdisjoint(resource.get("DependsOn", []))
                assert going.isdisjoint(_references(_without_choices(resource))), name

    def test_is_published_after_the_smoke_test(self, settings: Settings, model: dict) -> None:
        (smoke,) = of_type(model, "Custom::SmokeTest")
        (state,) = (
            r
            for r in of_type(model, "AWS::SSM::Parameter").values()
            if r["Properties"]["Name"] == settings.names.serving_parameter
        )
        assert state["Properties"]["Value"] == ON_OR_OFF
        assert smoke in state["DependsOn"]

    def test_each_switching_runs_the_smoke_test(self, model: dict) -> None:
        (smoke,) = properties(model, "Custom::SmokeTest")
        for key in ("EndpointNames", "Endpoints"):
            condition, on, off = smoke[key]["Fn::If"]
            assert condition == "IsServing"
            assert len(on) == len(of_type(model, "AWS::SageMaker::Endpoint"))
            assert off == []


def _without_choices(value: object) -> object:
    """A value as it is while switched off."""
    if isinstance(value, dict):
        if set(value) == {"Fn::If"}:
            return _without_choices(value["Fn::If"][2])
        return {key: _without_choices(inner) for key, inner in value.items()}
    return [_without_choices(inner) for inner in value] if isinstance(value, list) else value


def _references(value: object) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    found = {value["Ref"]} if "Ref" in value else set()
    if "Fn::GetAtt" in value:
        found.add(value["Fn::GetAtt"][0])
    return found.union(*map(_references, value.values()))


class TestProbe:
    @pytest.fixture
    def rule(self, model: dict) -> dict:
        (rule,) = (
            r
            for r in of_type(model, "AWS::Events::Rule").values()
            if "ScheduleExpression" in r["Properties"]
        )
        return rule

    @pytest.fixture
    def function(self, model: dict, rule: dict) -> dict:
        (target,) = rule["Properties"]["Targets"]
        return model["Resources"][target["Arn"]["Fn::GetAtt"][0]]["Properties"]

    def test_runs_every_minute_while_switched_on(self, rule: dict) -> None:
        assert rule["Properties"]["ScheduleExpression"] == "rate(1 minute)"
        assert rule["Properties"]["State"] == {"Fn::If": ["IsServing", "ENABLED", "DISABLED"]}
        (target,) = rule["Properties"]["Targets"]
        # A late probe is useless: the next one is due.
        assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0

    def test_starts_after_the_endpoints_have_passed_the_smoke_test(
        self, model: dict, rule: dict
    ) -> None:
        (smoke,) = of_type(model, "Custom::SmokeTest")
        assert smoke in rule["DependsOn"]

    def test_ends_before_it_starts_again(self, function: dict) -> None:
        assert function["Timeout"] < 60

    def test_knows_what_to_ask_and_reaches_nothing_else(
        self, settings: Settings, model: dict, function: dict
    ) -> None:
        names = [settings.names.endpoint(e.instance_type) for e in settings.endpoints]
        variables = function["Environment"]["Variables"]
        assert json.loads(variables["ENDPOINT_NAMES"]) == names
        assert variables["APP_STAGE"] == settings.stage
        assert variables["CORPUS_PARAMETER"] == settings.names.deployment_parameter
        (smoke,) = properties(model, "Custom::SmokeTest")
        assert float(variables["TOLERANCE"]) == smoke["Tolerance"]
        assert arn_ends(model, "ProbeRole", "sagemaker:InvokeEndpoint") == {
            f":endpoint/{name}" for name in names
        }
        assert arn_ends(model, "ProbeRole", "ssm:GetParameter") == {
            f":parameter{settings.names.deployment_parameter}"
        }

    def test_a_new_corpus_changes_nothing_of_it(self, model: dict, function: dict) -> None:
        """It must know the probes of both bakes while one replaces the other."""
        (bake,) = properties(model, "Custom::Bake")
        assert bake["BakeId"] not in json.dumps(function)
