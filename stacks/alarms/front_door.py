"""Alarms of the front door."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from contract.metrics import SWITCHED_OFF
from stacks.alarms.alarm import alarm
from stacks.common.metrics import FIVE_MINUTES, api_metric, front_door_metric, stage_metric
from stage.settings import Settings

# Fewer errors than this wake nobody, whatever their share of the requests.
_FEWEST_ERRORS = 2


class FrontDoorAlarms(Construct):
    """Errors, latency and throttles, as callers see them."""

    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, topic: sns.ITopic
    ) -> None:
        super().__init__(scope, id_)
        limits, stage = settings.alarms, settings.stage
        alarm(
            self,
            "Errors",
            metric=_error_percent(settings),
            threshold=limits.api_error_percent,
            topic=topic,
            description=f"More than {limits.api_error_percent:g} % of the requests to the API of"
            f" {stage} failed with 5xx. The function's log says why; GET /health shows which"
            " endpoints answer, the dashboard how busy they are.",
        )
        alarm(
            self,
            "Latency",
            metric=api_metric(settings, "Latency", "p99"),
            threshold=limits.api_latency_ms,
            topic=topic,
            periods=3,
            datapoints=2,
            description=f"Requests to the API of {stage} take more than {limits.api_latency_ms} ms"
            " (99th percentile). If the dashboard shows that the model is slow, use more or larger"
            " instances.",
        )
        alarm(
            self,
            "FunctionErrors",
            metric=front_door_metric(settings, "Errors", "Sum"),
            threshold=0,
            topic=topic,
            description=f"The front door's function of {stage} crashed or timed out (it handles all"
            " other errors itself). See its log.",
        )
        alarm(
            self,
            "FunctionThrottles",
            metric=front_door_metric(settings, "Throttles", "Sum"),
            threshold=0,
            topic=topic,
            description=f"Requests to the API of {stage} were rejected because the front door's"
            " function was at its concurrency limit. Raise api.reserved_concurrency, or the"
            " account's quota of concurrent executions.",
        )


def _error_percent(settings: Settings) -> cloudwatch.MathExpression:
    """Answers with 5xx, except those that only say that the endpoints are switched off."""
    return cloudwatch.MathExpression(
        expression=f"IF(errors - FILL(off, 0) >= {_FEWEST_ERRORS},"
        " 100 * (errors - FILL(off, 0)) / requests, 0)",
        using_metrics={
            "errors": api_metric(settings, "5XXError", "Sum"),
            "off": stage_metric(settings, SWITCHED_OFF, "Sum"),
            "requests": api_metric(settings, "Count", "Sum"),
        },
        label="5xx, % of requests",
        period=FIVE_MINUTES,
    )
