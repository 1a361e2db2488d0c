"""How alarms are made, so that each one notifies somebody and says what to do."""

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
) -> cloudwatch.Alarm:
    """An alarm that notifies `topic` when `metric` exceeds `threshold`.

    Missing data is good data: without traffic nothing fails, and an endpoint that is switched off
    reports nothing.

    Args:
        metric: its period is the length of one of the alarm's.
        description: what happened and what to do. It is the text of the mail.
        periods: how many are looked at.
        datapoints: how many of those must exceed the threshold; all of them by default.
    """
    made = cloudwatch.Alarm(
        scope,
        id_,
        # People read it in a mail, and the dashboard names the alarm by it: a reference would
        # block the update that removes an endpoint. See alarm_name.
        alarm_name=_name(f"{scope.node.path}/{id_}"),
        metric=metric,
        threshold=threshold,
        alarm_description=description,
        evaluation_periods=periods,
        datapoints_to_alarm=datapoints,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    made.add_alarm_action(actions.SnsAction(topic))
    return made


def alarm_name(made: cloudwatch.Alarm) -> str:
    """The name of an alarm: its path in the app, such as `FaqSearch-dev-FrontDoor-Alarms-Errors`.

    An alarm that moves in the app gets another name and another logical id, so CloudFormation can
    create the new alarm before it deletes the old one.
    """
    return _name(made.node.path)


def _name(path: str) -> str:
    return path.replace("/", "-")
