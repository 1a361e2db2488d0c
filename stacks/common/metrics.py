"""Metrics of the front door, of state machines, and those that our own functions publish.

By names that are known at synth: a reference to another stack's resource would keep that stack
from ever replacing it. Metrics of endpoints are in stacks.common.endpoint.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import IConstruct

from contract.metrics import NAMESPACE, QUESTIONS, UNANSWERED_QUESTIONS, stage_dimensions
from contract.names import API_STAGE
from stacks.common.arns import state_machine_arn
from stage.settings import Settings

FIVE_MINUTES = cdk.Duration.minutes(5)


def metric(
    namespace: str,
    name: str,
    dimensions: dict[str, str],
    statistic: str,
    period: cdk.Duration = FIVE_MINUTES,
) -> cloudwatch.Metric:
    """A metric by its full name."""
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=period,
    )


def api_metric(settings: Settings, name: str, statistic: str) -> cloudwatch.Metric:
    """Of the REST API: Count, Latency, 4XXError and 5XXError (0 or 1 for each request)."""
    dimensions = {"ApiName": settings.names.prefix, "Stage": API_STAGE}
    return metric("AWS/ApiGateway", name, dimensions, statistic)


def front_door_metric(settings: Settings, name: str, statistic: str) -> cloudwatch.Metric:
    """Of the front door's function: Errors, Throttles, ConcurrentExecutions or Duration."""
    dimensions = {"FunctionName": settings.names.front_door_function}
    return metric("AWS/Lambda", name, dimensions, statistic)


def stage_metric(
    settings: Settings, name: str, statistic: str, period: cdk.Duration = FIVE_MINUTES
) -> cloudwatch.Metric:
    """Of the stage, published by our own functions: one of contract.metrics."""
    return metric(NAMESPACE, name, stage_dimensions(settings.stage), statistic, period)


def unanswered_share(
    settings: Settings, period: cdk.Duration, *, at_least: int = 1
) -> cloudwatch.MathExpression:
    """Percent of questions whose best answer scored too low; 0 below `at_least` questions."""
    return cloudwatch.MathExpression(
        expression=f"IF(questions >= {at_least}, 100 * unanswered / questions, 0)",
        using_metrics={
            "questions": stage_metric(settings, QUESTIONS, "Sum", period),
            "unanswered": stage_metric(settings, UNANSWERED_QUESTIONS, "Sum", period),
        },
        label="Unanswered, % of questions",
        period=period,
    )


def execution_metric(scope: IConstruct, state_machine: str, name: str) -> cloudwatch.Metric:
    """Of a state machine by name: ExecutionsStarted, ExecutionsSucceeded, ExecutionsFailed, ..."""
    dimensions = {"StateMachineArn": state_machine_arn(scope, state_machine)}
    return metric("AWS/States", name, dimensions, "Sum")
