"""The Operations stack: what people need to operate a stage."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from contract.outputs import DASHBOARD_NAME, DEPLOY_ROLE_ARN, DIFF_ROLE_ARN
from stacks.alarms.stage import CorpusAlarms
from stacks.common.stage_stack import StageStack
from stacks.foundation.stack import FoundationStack
from stacks.operations.budget import Budget
from stacks.operations.ci_roles import CiRoles
from stacks.operations.dashboard import Dashboard
from stacks.operations.switch_schedule import SwitchSchedule
from stage.settings import Settings


class OperationsStack(StageStack):
    """The dashboard, and if the settings ask for them: alarms of the corpus, a schedule, a budget
    and roles for CI.

    Of the other stacks it refers only to Foundation, to resources that are never replaced. It
    knows endpoints, functions and alarms by name, so it never blocks their update.

    Args:
        watched: stacks whose alarms are on the dashboard, besides its own.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        foundation: FoundationStack,
        watched: Sequence[cdk.Stack],
    ) -> None:
        super().__init__(
            scope,
            "Operations",
            settings=settings,
            contents="dashboard, alarms of the corpus, schedule, budget, roles for CI",
            foundation=foundation,
        )
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
            self.add_output(DIFF_ROLE_ARN, roles.diff.role_arn, "Role for runs of pull requests")
            self.add_output(DEPLOY_ROLE_ARN, roles.deploy.role_arn, "Role for runs that deploy")
        alarms = [
            found
            for stack in (*watched, self)
            for found in stack.node.find_all()
            if isinstance(found, cloudwatch.Alarm)
        ]
        dashboard = Dashboard(self, "Dashboard", settings=settings, alarms=alarms)
        self.add_output(DASHBOARD_NAME, dashboard.name, "The dashboard in CloudWatch")
