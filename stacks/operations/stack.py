"""The Operations stack: what people need to run a stage for years."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.foundation.stack import FoundationStack
from stacks.operations.budget import Budget
from stacks.operations.ci_roles import CiRoles
from stacks.operations.corpus_alarms import CorpusAlarms
from stacks.operations.dashboard import Dashboard
from stacks.operations.switch_schedule import SwitchSchedule
from stage.settings import Settings


class OperationsStack(cdk.Stack):
    """Dashboard, alarms of the corpus; where the settings ask for them a schedule, a budget and
    roles for CI.

    Of the other stacks it refers to Foundation alone, to things that nothing replaces; endpoints,
    functions and alarms it knows by name. So it never stands in the way of their update.

    watched: stacks whose alarms are on the dashboard, beside its own.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        watched: Sequence[cdk.Stack],
        **options: Any,
    ) -> None:
        super().__init__(scope, id_, **options)
        topic = foundation.topic
        CorpusAlarms(self, "Corpus", settings=settings, topic=topic)
        if settings.schedule is not None:
            SwitchSchedule(
                self, "Schedule", settings=settings, schedule=settings.schedule, topic=topic
            )
        if settings.budget is not None:
            Budget(self, "Budget", settings=settings, budget=settings.budget, topic=topic)
        if settings.ci is not None:
            roles = CiRoles(
                self,
                "Ci",
                settings=settings,
                ci=settings.ci,
                artifacts=foundation.storage.artifacts,
                key=foundation.key,
            )
            self._output("DiffRoleArn", roles.diff.role_arn, "Role for runs of pull requests")
            self._output("DeployRoleArn", roles.deploy.role_arn, "Role for runs that deploy")
        alarms = [
            found
            for stack in (*watched, self)
            for found in stack.node.find_all()
            if isinstance(found, cloudwatch.Alarm)
        ]
        dashboard = Dashboard(self, "Dashboard", settings=settings, alarms=alarms)
        self._output("DashboardName", dashboard.name, "The dashboard in CloudWatch")

    def _output(self, id_: str, value: str, description: str) -> None:
        """An output whose logical id is its name, so that tools and people find it."""
        cdk.CfnOutput(self, id_, value=value, description=description).override_logical_id(id_)
