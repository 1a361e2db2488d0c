"""One way to make an alarm, so that each of them tells somebody, and what to do."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct


def alarm(
    scope: Construct,
    id_: str,
    *,
    metric: cloudwatch.IMetric,
    threshold: float,
    topic: sns.ITopic,
    description: str,
    periods: int = 1,
    datapoints: int | None = None,
    comparison: cloudwatch.ComparisonOperator = (
        cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
    ),
    missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
) -> cloudwatch.Alarm:
    """An alarm that notifies `topic` when `metric` passes `threshold` (default: goes above it).

    metric: its period is the length of one of the alarm's.
    description: what happened, and what to do; it is what the mail says.
    periods, datapoints: that many of so many periods (default: all of them).
    missing: what a period without data counts as; by default as a good one, since no traffic is
        no fault, and an endpoint that is switched off has none.

    It has no name of its own, so that CloudFormation may replace it.
    """
    made = cloudwatch.Alarm(
        scope,
        id_,
        metric=metric,
        threshold=threshold,
        alarm_description=description,
        evaluation_periods=periods,
        datapoints_to_alarm=datapoints,
        comparison_operator=comparison,
        treat_missing_data=missing,
    )
    made.add_alarm_action(actions.SnsAction(topic))
    return made
