"""The requests that CloudFormation sends to CloudWatch, SNS, EventBridge Scheduler and Budgets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.model_validator import check_request
from tests.support.resolved_template import Resolver
from tests.support.synthesis import templates_of, with_everything


@pytest.fixture(scope="module")
def resources():
    templates = templates_of(with_everything("dev"))

    def find(stack: str, kind: str) -> list[dict[str, Any]]:
        found = Resolver(templates).resources(templates[stack], kind)
        assert found
        return found

    return find


@pytest.mark.parametrize("stack", ["FrontDoor", "Operations"])
def test_put_metric_alarm(resources, stack):
    for properties in resources(stack, "AWS::CloudWatch::Alarm"):
        assert check_request("cloudwatch", "PutMetricAlarm", properties) == []


def test_put_dashboard(resources):
    for properties in resources("Operations", "AWS::CloudWatch::Dashboard"):
        assert check_request("cloudwatch", "PutDashboard", properties) == []
        json.loads(properties["DashboardBody"])


def test_create_schedule(resources):
    for properties in resources("Operations", "AWS::Scheduler::Schedule"):
        request = {"Name": "generated", **properties}
        assert check_request("scheduler", "CreateSchedule", request) == []


def test_create_budget(resources):
    for properties in resources("Operations", "AWS::Budgets::Budget"):
        budget = properties["Budget"]
        limit = {k: str(v) for k, v in budget["BudgetLimit"].items()}  # CloudFormation's number
        request = {
            "AccountId": "123456789012",
            "Budget": {**budget, "BudgetName": "generated", "BudgetLimit": limit},
            "NotificationsWithSubscribers": properties["NotificationsWithSubscribers"],
        }
        assert check_request("budgets", "CreateBudget", request) == []


def test_create_role(resources):
    for properties in resources("Operations", "AWS::IAM::Role"):
        request = {
            "RoleName": "generated",
            **{k: v for k, v in properties.items() if k not in ("Policies", "Tags")},
            "AssumeRolePolicyDocument": json.dumps(properties["AssumeRolePolicyDocument"]),
        }
        assert check_request("iam", "CreateRole", request) == []


def test_subscribe(resources):
    for properties in resources("Foundation", "AWS::SNS::Subscription"):
        assert check_request("sns", "Subscribe", properties) == []
