"""Alarms of the corpus: it has grown old, or it lacks what people ask."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sns as sns
from constructs import Construct

from contract.metrics import CORPUS_AGE_DAYS
from stacks.alarms.alarm import alarm
from stacks.common.metrics import stage_metric, unanswered_share
from stage.settings import Settings

_HOUR = cdk.Duration.hours(1)
# A share of fewer questions than this says nothing.
_ENOUGH_QUESTIONS = 20


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
                f" {stage} in an hour, the best answer scored below {limits.min_score:g}: the"
                " corpus lacks what people ask for, or a new corpus answers worse. Add entries, or"
                f" roll back: make rollback STAGE={stage} BAKE=<bake id>.",
            )
