"""Switches the endpoints on and off by schedule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract.switch import OFF, ON, PARAMETER
from stacks.alarms.stage import switch_alarm
from stacks.common.arns import (
    bootstrap_version_arn,
    endpoint_arn,
    schedule_group_arn,
    stack_arn,
)
from stacks.common.policies import only_for, statement
from stacks.common.workflow import workflow
from stage.settings import Settings
from stage.tables import ScheduleSettings

_WORKFLOW = Path(__file__).parent / "switch_schedule.asl.json"


class SwitchSchedule(Construct):
    """Two schedules for a state machine that updates the Model stack's parameter `Serving`.

    EventBridge Scheduler could call UpdateStack itself, but then nobody would learn how the update
    ended, a deployment in progress would make it fail, and so would endpoints that somebody has
    switched off already. The state machine waits for its turn, accepts "nothing to do", waits for
    the end of the update, and fails if that fails, so that an alarm notifies: for example when AWS
    has no instances available in the morning. Once switched off, it sees to it that no endpoint is
    left, which CloudFormation does not.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        schedule: ScheduleSettings,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        endpoints = [settings.names.endpoint(e.instance_type) for e in settings.endpoints]
        state_machine = self._state_machine(settings, endpoints)
        role = iam.Role(
            self,
            "SchedulerRole",
            # EventBridge Scheduler names the schedule's group, not the schedule.
            assumed_by=only_for("scheduler.amazonaws.com", schedule_group_arn(self, "default")),
            inline_policies={
                "Switch": iam.PolicyDocument(
                    statements=[
                        statement(
                            self, ["states:StartExecution"], [state_machine.state_machine_arn]
                        )
                    ]
                )
            },
        )
        for serving, cron in ((ON, schedule.on), (OFF, schedule.off)):
            scheduler.CfnSchedule(
                self,
                serving.capitalize(),
                description=f"Switches the endpoints of {settings.stage} {serving}",
                schedule_expression=f"cron({cron})",
                schedule_expression_timezone=schedule.timezone,
                flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
                target=scheduler.CfnSchedule.TargetProperty(
                    arn=state_machine.state_machine_arn,
                    role_arn=role.role_arn,
                    input=json.dumps({"serving": serving, "endpoints": endpoints}),
                ),
            )
        switch_alarm(self, settings=settings, state_machine=state_machine, topic=topic)

    def _state_machine(self, settings: Settings, endpoints: Sequence[str]) -> sfn.StateMachine:
        model_stack = settings.names.stack("Model")
        return workflow(
            self,
            name=settings.names.switch_workflow,
            definition=_WORKFLOW,
            policy_name="Switch",
            statements=[
                statement(
                    self,
                    ["cloudformation:DescribeStacks", "cloudformation:UpdateStack"],
                    {stack_arn(self, model_stack): "CloudFormation adds an id to a stack's ARN."},
                ),
                statement(
                    self,
                    ["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"],
                    [endpoint_arn(self, name) for name in endpoints],
                ),
                # CloudFormation reads this parameter with the credentials of the update's caller,
                # not with the stack's role.
                statement(self, ["ssm:GetParameters"], [bootstrap_version_arn(self)]),
            ],
            literals={"StackName": model_stack, "SwitchParameter": PARAMETER},
            include_execution_data=True,
        )
