"""The schedule: when it runs, what it does, and what it may do."""

from __future__ import annotations

import json

from contract.names import Names
from contract.switch import OFF, ON, PARAMETER
from tests.support.synthesis import Templates, arn_ends, of_type, properties

MODEL_STACK = Names("dev").stack("Model")
ENDPOINT = Names("dev").endpoint("ml.c6i.xlarge")


def test_it_switches_on_and_off_in_the_settings_time_zone(everything: Templates) -> None:
    schedules = properties(everything["Operations"], "AWS::Scheduler::Schedule")
    (machine,) = of_type(everything["Operations"], "AWS::StepFunctions::StateMachine")
    assert {s["ScheduleExpression"]: s["Target"]["Input"] for s in schedules} == {
        "cron(0 7 ? * MON-FRI *)": json.dumps({"serving": ON, "endpoints": [ENDPOINT]}),
        "cron(0 19 ? * MON-FRI *)": json.dumps({"serving": OFF, "endpoints": [ENDPOINT]}),
    }
    for schedule in schedules:
        assert schedule["ScheduleExpressionTimezone"] == "Europe/Berlin"
        assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert schedule["Target"]["Arn"] == {"Ref": machine}


def test_it_updates_the_model_stack_and_no_other(everything: Templates) -> None:
    template = everything["Operations"]
    for action in ("cloudformation:UpdateStack", "cloudformation:DescribeStacks"):
        assert arn_ends(template, "ScheduleStateMachineRole", action) == {f":stack/{MODEL_STACK}/*"}
    for action in ("sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"):
        assert arn_ends(template, "ScheduleStateMachineRole", action) == {f":endpoint/{ENDPOINT}"}
    # CloudFormation reads the bootstrap's version with the credentials of the update's caller.
    assert arn_ends(template, "ScheduleStateMachineRole", "ssm:GetParameters") == {
        ":parameter/cdk-bootstrap/hnb659fds/version"
    }


def test_the_update_names_every_parameter_of_the_model_stack(everything: Templates) -> None:
    """A parameter that is not named would return to its default."""
    (machine,) = properties(everything["Operations"], "AWS::StepFunctions::StateMachine")
    update = json.loads(machine["DefinitionString"])["States"]["UpdateStack"]["Parameters"]
    assert update["StackName"] == MODEL_STACK
    named = {p["ParameterKey"] for p in update["Parameters"]}
    assert named == set(everything["Model"]["Parameters"])
    assert set(everything["Model"]["Parameters"][PARAMETER]["AllowedValues"]) == {ON, OFF}


def test_an_alarm_watches_for_a_failed_schedule(everything: Templates) -> None:
    alarms = {
        a["AlarmName"]: a for a in properties(everything["Operations"], "AWS::CloudWatch::Alarm")
    }
    alarm = alarms[f"{Names('dev').stack('Operations')}-Schedule-NotSwitched"]
    watched = {q["MetricStat"]["Metric"]["MetricName"] for q in alarm["Metrics"][1:]}
    assert watched == {"ExecutionsFailed", "ExecutionsTimedOut"}


def test_without_a_schedule_nothing_switches(stage_templates: Templates) -> None:
    assert not of_type(stage_templates["Operations"], "AWS::Scheduler::Schedule")
    assert not of_type(stage_templates["Operations"], "AWS::StepFunctions::StateMachine")
