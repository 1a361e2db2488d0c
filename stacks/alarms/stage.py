"""Alarms of a stage, but for its endpoints': the front door, the corpus, the state machines."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract.metrics import CORPUS_AGE_DAYS, SWITCHED_OFF
from stacks.alarms.alarm import alarm
from stacks.common.metrics import (
    FIVE_MINUTES,
    api_metric,
    front_door_metric,
    stage_metric,
    unanswered_share,
)
from stage.settings import Settings

# Fewer errors than this wake nobody, whatever their share of the requests.
_FEWEST_ERRORS = 2
_HOUR = cdk.Duration.hours(1)
# A share of fewer questions than this says nothing.
_ENOUGH_QUESTIONS = 20
_SUM = cloudwatch.Stats.SUM


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


class CorpusAlarms(Construct):
    """Each exists only if the settings set its limit."""

    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, topic: sns.ITopic
    ) -> None:
        super().__init__(scope, id_)
        limits, stage = settings.alarms, settings.stage
        if limits.corpus_stale_days is not None:
            alarm(
                self,
                "Stale",
                metric=stage_metric(settings, CORPUS_AGE_DAYS, "Maximum", _HOUR),
                threshold=limits.corpus_stale_days,
                topic=topic,
                description=f"The corpus of {stage} was deployed more than"
                f" {limits.corpus_stale_days} days ago. Is it still correct? Deploy a current"
                " one, or raise alarms.corpus_stale_days.",
            )
        if limits.unanswered_percent is not None:
            alarm(
                self,
                "Unanswered",
                metric=unanswered_share(settings, _HOUR, at_least=_ENOUGH_QUESTIONS),
                threshold=limits.unanswered_percent,
                topic=topic,
                description=f"For more than {limits.unanswered_percent:g} % of the questions to"
                f" {stage} in an hour, the best answer scored below"
                f" {settings.unanswered_below:g}: the corpus lacks what people ask for, or a new"
                " corpus answers worse. Add entries, or roll back:"
                f" make rollback STAGE={stage} BAKE=<bake id>.",
            )


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
    _alarms_of_executions(
        scope,
        state_machine,
        failed_id="Failed",
        topic=topic,
        description="A batch failed; output/<batch id>/report.json in the batch bucket says why.",
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


def index_alarms(
    scope: Construct, *, settings: Settings, state_machine: sfn.StateMachine, topic: sns.ITopic
) -> None:
    """Notifies of an index of S3 Vectors that was not loaded."""
    _alarms_of_executions(
        scope,
        state_machine,
        failed_id="LoadFailed",
        topic=topic,
        description=f"The corpus of {settings.stage} was not loaded into its index; the former"
        f" index keeps answering. make status STAGE={settings.stage} says why, and make deploy"
        f" STAGE={settings.stage} goes on where it stopped.",
    )


def _alarms_of_executions(
    scope: Construct,
    state_machine: sfn.StateMachine,
    *,
    failed_id: str,
    topic: sns.ITopic,
    description: str,
) -> None:
    """Notifies of executions that failed or exceeded their time."""
    ended = {failed_id: state_machine.metric_failed, "TimedOut": state_machine.metric_timed_out}
    for id_, metric in ended.items():
        alarm(
            scope,
            id_,
            metric=metric(period=FIVE_MINUTES, statistic=_SUM),
            threshold=0,
            topic=topic,
            description=description,
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
