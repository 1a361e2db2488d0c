"""Dashboard and alarms: they name what exists, and block no update."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from contract import metrics
from contract.names import STACKS, Names
from stage.settings import Settings, load_settings
from tests.support.resolved_template import Resolver
from tests.support.synthesis import Templates, of_type, properties

# As AWS documents them: "Amazon API Gateway dimensions and metrics", "Types of metrics for Lambda
# functions", "Monitoring Step Functions metrics", "Amazon SageMaker AI metrics in Amazon
# CloudWatch" (endpoint invocation metrics; endpoint metrics).
DOCUMENTED = {
    "AWS/ApiGateway": {"Count", "Latency", "IntegrationLatency", "4XXError", "5XXError"},
    "AWS/Lambda": {
        "AsyncEventsDropped",
        "ConcurrentExecutions",
        "Duration",
        "Errors",
        "Invocations",
        "Throttles",
    },
    "AWS/States": {
        "ExecutionsStarted",
        "ExecutionsSucceeded",
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
    },
    "AWS/SageMaker": {
        "Invocations",
        "InvocationModelErrors",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
        "ModelLatency",
        "OverheadLatency",
    },
    "/aws/sagemaker/Endpoints": {
        "CPUUtilization",
        "MemoryUtilization",
        "GPUUtilization",
        "GPUMemoryUtilization",
    },
}


@dataclass(frozen=True)
class Metric:
    namespace: str
    name: str
    dimensions: dict[str, Any]
    statistic: str = "Average"


class Existing:
    """The metrics that a stage's resources will publish."""

    def __init__(self, templates: Templates, stage: str) -> None:
        self._templates = templates
        self._stage = stage

    def named(self, kind: str, key: str) -> set[str]:
        found = (v.get(key) for t in self._templates.values() for v in properties(t, kind))
        return {name for name in found if isinstance(name, str)}

    def check(self, metric: Metric) -> None:
        dimensions = {
            k: v for k, v in metric.dimensions.items() if k not in ("EndpointConfigName", "BakeId")
        }
        if metric.namespace == metrics.NAMESPACE:
            # The tests of the functions show that they publish these.
            assert metric.name in vars(metrics).values(), metric
            assert dimensions.pop("Stage") == self._stage
        else:
            assert metric.name in DOCUMENTED[metric.namespace], metric
        allowed = {
            "ApiName": lambda: self.named("AWS::ApiGateway::RestApi", "Name"),
            "Stage": lambda: self.named("AWS::ApiGateway::Stage", "StageName"),
            "EndpointName": lambda: self.named("AWS::SageMaker::Endpoint", "EndpointName"),
            "VariantName": lambda: {"primary"},
            "FunctionName": lambda: self.named("AWS::Lambda::Function", "FunctionName"),
        }
        for key, value in dimensions.items():
            if isinstance(value, dict):  # a resource of the same stack
                assert any(value["Ref"] in t["Resources"] for t in self._templates.values())
            elif key == "StateMachineArn":
                machines = self.named("AWS::StepFunctions::StateMachine", "StateMachineName")
                assert value.rpartition(":stateMachine:")[2] in machines, metric
            else:
                assert value in allowed[key](), metric


def of_alarms(templates: Templates) -> Iterator[Metric]:
    for template in templates.values():
        for alarm in properties(template, "AWS::CloudWatch::Alarm"):
            queries = (
                [alarm]
                if "MetricName" in alarm
                else [
                    query["MetricStat"] | query["MetricStat"]["Metric"]
                    for query in alarm["Metrics"]
                    if "MetricStat" in query
                ]
            )
            for query in queries:
                yield Metric(
                    query["Namespace"],
                    query["MetricName"],
                    {d["Name"]: d["Value"] for d in query["Dimensions"]},
                )


def widgets(templates: Templates) -> list[dict[str, Any]]:
    (dashboard,) = Resolver(templates).resources(
        templates["Operations"], "AWS::CloudWatch::Dashboard"
    )
    return list(json.loads(dashboard["DashboardBody"])["widgets"])


def of_dashboard(templates: Templates) -> list[Metric]:
    found = []
    for widget in widgets(templates):
        for row in widget["properties"].get("metrics", []):
            options = row[-1] if isinstance(row[-1], dict) else {}
            plain = row[:-1] if options else row
            if plain:
                names = dict(zip(plain[2::2], plain[3::2], strict=True))
                found.append(Metric(plain[0], plain[1], names, options.get("stat", "Average")))
    return found


def test_the_dashboard_shows_metrics_that_exist(stage: str, stage_templates: Templates) -> None:
    existing = Existing(stage_templates, stage)
    shown = of_dashboard(stage_templates)
    assert len(shown) > 20
    for metric in shown:
        existing.check(metric)


def test_alarms_watch_metrics_that_exist(
    stage: str, stage_templates: Templates, everything: Templates
) -> None:
    for metric in of_alarms(stage_templates):
        Existing(stage_templates, stage).check(metric)
    for metric in of_alarms(everything):
        Existing(everything, "dev").check(metric)


def test_everything_about_each_endpoint_is_shown(
    settings: Settings, stage_templates: Templates
) -> None:
    for endpoint in settings.endpoints:
        name = settings.names.endpoint(endpoint.instance_type)
        shown = {
            (m.name, m.statistic)
            for m in of_dashboard(stage_templates)
            if m.dimensions.get("EndpointName") == name
        }
        assert {
            ("Invocations", "Sum"),
            ("ModelLatency", "p50"),
            ("ModelLatency", "p99"),
            ("OverheadLatency", "p99"),
            ("InvocationModelErrors", "Sum"),
            ("CPUUtilization", "Average"),
            ("MemoryUtilization", "Average"),
            (metrics.PROBE_FAILED, "Maximum"),
        } <= shown
        gpu = endpoint.instance_type.startswith("ml.g5")
        assert (("GPUUtilization", "Average") in shown) is gpu
        # How many instances there are: each reports its CPU once a minute.
        assert (("CPUUtilization", "SampleCount") in shown) is (endpoint.scaling is not None)


def test_front_door_search_quality_bakes_and_batches_are_shown(
    stage_templates: Templates,
) -> None:
    shown = {(m.namespace, m.name) for m in of_dashboard(stage_templates)}
    assert {
        ("AWS/ApiGateway", "Count"),
        ("AWS/ApiGateway", "4XXError"),
        ("AWS/ApiGateway", "5XXError"),
        ("AWS/ApiGateway", "Latency"),
        ("AWS/Lambda", "ConcurrentExecutions"),
        ("AWS/Lambda", "Throttles"),
        (metrics.NAMESPACE, metrics.QUESTIONS),
        (metrics.NAMESPACE, metrics.UNANSWERED_QUESTIONS),
        (metrics.NAMESPACE, metrics.FAILED_OVER),
        (metrics.NAMESPACE, metrics.CORPUS_AGE_DAYS),
    } <= shown
    machines = {
        m.dimensions["StateMachineArn"].rpartition("-")[2]
        for m in of_dashboard(stage_templates)
        if m.namespace == "AWS/States"
    }
    assert machines == {"bake", "batch"}


def test_every_alarm_is_on_the_dashboard(stage_templates: Templates, everything: Templates) -> None:
    for templates in (stage_templates, everything):
        made = {
            alarm["AlarmName"]
            for template in templates.values()
            for alarm in properties(template, "AWS::CloudWatch::Alarm")
        }
        (shown,) = (w["properties"]["alarms"] for w in widgets(templates) if w["type"] == "alarm")
        assert {arn.rpartition(":alarm:")[2] for arn in shown} == made
        assert len(shown) <= 100  # of a widget


def test_names_of_the_dashboard_fit_together(stage_templates: Templates) -> None:
    """CloudWatch rejects two metrics with one id, and an expression without its metric."""
    for widget in widgets(stage_templates):
        rows = widget["properties"].get("metrics", [])
        options = [row[-1] for row in rows if isinstance(row[-1], dict)]
        ids = [option["id"] for option in options if "id" in option]
        assert len(set(ids)) == len(ids)
        assert all(id_[0].islower() for id_ in ids)
        for option in options:
            if "expression" in option:
                assert any(id_ in option["expression"] for id_ in ids)


def test_widgets_fill_the_page_and_do_not_overlap(stage_templates: Templates) -> None:
    rows: dict[int, list[dict[str, Any]]] = {}
    for widget in widgets(stage_templates):
        rows.setdefault(widget["y"], []).append(widget)
    for row in rows.values():
        assert sum(widget["width"] for widget in row) <= 24
        assert len({widget["height"] for widget in row}) == 1


def test_it_refers_to_foundation_alone(everything: Templates) -> None:
    """An export in use keeps its stack from replacing what is exported."""
    text = json.dumps(everything["Operations"])
    referred = {stack for stack in STACKS if f"{Names('dev').stack(stack)}:Exports" in text}
    assert referred == {"Foundation"}


def test_the_settings_decide_about_alarms_of_the_corpus(
    templates: Callable[[str], Templates],
) -> None:
    def thresholds(stage: str) -> dict[str, float]:
        alarms = properties(templates(stage)["Operations"], "AWS::CloudWatch::Alarm")
        return {a["AlarmName"].rpartition("-")[2]: a["Threshold"] for a in alarms}

    assert thresholds("dev") == {}
    assert thresholds("prod") == {"Stale": 180, "Unanswered": 30}


@pytest.mark.parametrize("kind", ["Errors", "Latency", "FunctionErrors", "FunctionThrottles"])
def test_the_front_door_has_its_alarms(stage: str, stage_templates: Templates, kind: str) -> None:
    alarms = {
        a["AlarmName"].rpartition("-")[2]: a
        for a in properties(stage_templates["FrontDoor"], "AWS::CloudWatch::Alarm")
    }
    limits = load_settings(stage).alarms
    thresholds = {
        "Errors": limits.api_error_percent,
        "Latency": limits.api_latency_ms,
        "FunctionErrors": 0,
        "FunctionThrottles": 0,
    }
    assert alarms[kind]["Threshold"] == thresholds[kind]
    assert alarms[kind]["ComparisonOperator"] == "GreaterThanThreshold"


def test_the_budget_counts_the_stages_tag_and_notifies_the_topic(
    everything: Templates, stage_templates: Templates
) -> None:
    (budget,) = properties(everything["Operations"], "AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 250, "Unit": "USD"}
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:stage$dev"]}
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    assert "BudgetName" not in budget["Budget"]  # changed notifications replace the budget
    subscribers = {
        (n["Notification"]["NotificationType"], n["Notification"]["Threshold"]): n["Subscribers"]
        for n in budget["NotificationsWithSubscribers"]
    }
    assert set(subscribers) == {("ACTUAL", 80), ("FORECASTED", 100)}
    for (subscriber,) in subscribers.values():
        assert subscriber["SubscriptionType"] == "SNS"
        assert "NotificationsTopic" in subscriber["Address"]["Fn::ImportValue"]
    assert not of_type(stage_templates["Operations"], "AWS::Budgets::Budget")
