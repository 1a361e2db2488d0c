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

    Its name is its place in the app (see alarm_name): people read it in a mail, and the dashboard
    names it without a reference, which would block the update that removes an endpoint.
    """
    made = cloudwatch.Alarm(
        scope,
        id_,
        alarm_name=_name(f"{scope.node.path}/{id_}"),
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


def alarm_name(made: cloudwatch.Alarm) -> str:
    """The name of an alarm of this app: `FaqSearch-dev-FrontDoor-Alarms-Errors`.

    Another place in the app is another logical id, so a name never stands in the way of a new
    alarm that CloudFormation creates before it removes the old one.
    """
    return _name(made.node.path)


def _name(path: str) -> str:
    return path.replace("/", "-")
