"""Metrics of the front door, of executions, and of what our own functions count.

By names that are known at synth: a reference to another stack's resource would keep that stack
from ever replacing it.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import IConstruct

from stacks.common.endpoint_metrics import NAMESPACE
from stacks.front_door.rest_api import STAGE_NAME
from stage.settings import Settings

FIVE_MINUTES = cdk.Duration.minutes(5)


def api_metric(
    settings: Settings, name: str, statistic: str, *, period: cdk.Duration = FIVE_MINUTES
) -> cloudwatch.Metric:
    """Of the REST API: Count and Latency of requests, 4XXError and 5XXError (0 or 1 for each)."""
    return cloudwatch.Metric(
        namespace="AWS/ApiGateway",
        metric_name=name,
        dimensions_map={"ApiName": settings.names.prefix, "Stage": STAGE_NAME},
        statistic=statistic,
        period=period,
    )


def front_door_metric(
    settings: Settings, name: str, statistic: str, *, period: cdk.Duration = FIVE_MINUTES
) -> cloudwatch.Metric:
    """Of the function: Errors, Throttles, ConcurrentExecutions, Duration."""
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name=name,
        dimensions_map={"FunctionName": settings.names.front_door_function},
        statistic=statistic,
        period=period,
    )


def own_metric(
    settings: Settings, name: str, statistic: str, *, period: cdk.Duration = FIVE_MINUTES
) -> cloudwatch.Metric:
    """Of the stage. From the front door: Questions, UnansweredQuestions, FailedOver, SwitchedOff,
    and ModelWait in milliseconds; from the probe: CorpusAgeDays."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"Stage": settings.stage},
        statistic=statistic,
        period=period,
    )


def unanswered_share(
    settings: Settings, *, period: cdk.Duration, at_least: int = 1
) -> cloudwatch.MathExpression:
    """Percent of the questions whose best answer scored too low; 0 below `at_least` questions."""
    return cloudwatch.MathExpression(
        expression=f"IF(questions >= {at_least}, 100 * unanswered / questions, 0)",
        using_metrics={
            "questions": own_metric(settings, "Questions", "Sum", period=period),
            "unanswered": own_metric(settings, "UnansweredQuestions", "Sum", period=period),
        },
        label="Unanswered, % of questions",
        period=period,
    )


def execution_metric(
    scope: IConstruct, state_machine_name: str, name: str, statistic: str = "Sum"
) -> cloudwatch.Metric:
    """Of a state machine: ExecutionsStarted, ExecutionsSucceeded, ExecutionsFailed, ..."""
    arn = cdk.Stack.of(scope).format_arn(
        service="states",
        resource="stateMachine",
        resource_name=state_machine_name,
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    return cloudwatch.Metric(
        namespace="AWS/States",
        metric_name=name,
        dimensions_map={"StateMachineArn": arn},
        statistic=statistic,
        period=FIVE_MINUTES,
    )
