"""Alarms of the state machines: a bake, a batch or a scheduled switch failed."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.alarms.alarm import alarm
from stacks.common.metrics import FIVE_MINUTES
from stage.settings import Settings

_SUM = cloudwatch.Stats.SUM


def bake_alarm(
    scope: Construct, *, settings: Settings, state_machine: sfn.StateMachine, topic: sns.ITopic
) -> None:
    """Notifies of a bake that failed."""
    alarm(
        scope,
        "BakeFailed",
        metric=state_machine.metric_failed(period=FIVE_MINUTES, statistic=_SUM),
        threshold=0,
        topic=topic,
        description=f"A bake of {settings.stage} failed; the previous version keeps serving. See"
        " the stack's events for the reason, and the training job's log for details.",
    )


def batch_alarms(
    scope: Construct,
    *,
    state_machine: sfn.StateMachine,
    steps: lambda_.IFunction,
    topic: sns.ITopic,
) -> None:
    """Notifies of batches that failed, and of files that started none.

    Args:
        scope: where the alarms are added.
        state_machine: runs the batches.
        steps: the function behind it, which starts a batch for each new file.
        topic: is notified.
    """
    ended = {"Failed": state_machine.metric_failed, "TimedOut": state_machine.metric_timed_out}
    for id_, metric in ended.items():
        alarm(
            scope,
            id_,
            metric=metric(period=FIVE_MINUTES, statistic=_SUM),
            threshold=0,
            topic=topic,
            description="A batch failed; output/<batch id>/report.json in the batch bucket says"
            " why.",
        )
    alarm(
        scope,
        "FileIgnored",
        metric=steps.metric("AsyncEventsDropped", period=FIVE_MINUTES, statistic=_SUM),
        threshold=0,
        topic=topic,
        description="A file in the batch bucket started no batch, or a batch ended without a"
        " report; the log of the batch steps' function says why. Upload the file again.",
    )


def switch_alarm(
    scope: Construct, *, settings: Settings, state_machine: sfn.StateMachine, topic: sns.ITopic
) -> None:
    """Notifies if the schedule did not switch the endpoints."""
    alarm(
        scope,
        "NotSwitched",
        metric=cloudwatch.MathExpression(
            expression="FILL(failed, 0) + FILL(timed_out, 0)",
            using_metrics={
                "failed": state_machine.metric_failed(period=FIVE_MINUTES, statistic=_SUM),
                "timed_out": state_machine.metric_timed_out(period=FIVE_MINUTES, statistic=_SUM),
            },
            label="Not switched",
            period=FIVE_MINUTES,
        ),
        threshold=0,
        topic=topic,
        description=f"The schedule did not switch the endpoints of {settings.stage}. The events of"
        f" stack {settings.names.stack('Model')} say why (often a lack of instances). Switch by"
        f" hand: make on STAGE={settings.stage}, or make off STAGE={settings.stage}.",
    )
