"""Switches the endpoints on and off by the clock."""

from __future__ import annotations

import json
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.common.alarms import alarm
from stacks.common.arns import bootstrap_version_arn
from stacks.common.policies import wildcards
from stacks.common.workflow import workflow
from stage.settings import Settings
from stage.tables import ScheduleSettings

_WORKFLOW = Path(__file__).parent / "switch_schedule.asl.json"


class SwitchSchedule(Construct):
    """Two schedules over a state machine that updates the Model stack's parameter `Serving`.

    EventBridge Scheduler could call UpdateStack by itself, but then nobody would learn how the
    update ended, a deployment at work at that minute would be in the way, and an evening on which
    somebody had switched off before would count as a failure. The state machine waits for its
    turn, takes "nothing to do" as done, sees the update through, and fails for an alarm to tell:
    of instances that are not to be had in the morning, too.
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
        stack_name = settings.names.stack("Model")
        state_machine = self._state_machine(settings.names.switch_workflow, stack_name)
        role = iam.Role(
            self,
            "SchedulerRole",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            ),
            inline_policies={
                "Switch": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["states:StartExecution"],
                            resources=[state_machine.state_machine_arn],
                        )
                    ]
                )
            },
        )
        for serving, cron in (("on", schedule.on), ("off", schedule.off)):
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
                    input=json.dumps({"serving": serving}),
                ),
            )
        failed = state_machine.metric_failed(statistic="Sum", period=cdk.Duration.minutes(5))
        timed_out = state_machine.metric_timed_out(statistic="Sum", period=cdk.Duration.minutes(5))
        alarm(
            self,
            "NotSwitched",
            metric=cloudwatch.MathExpression(
                expression="FILL(failed, 0) + FILL(timed_out, 0)",
                using_metrics={"failed": failed, "timed_out": timed_out},
                label="Not switched",
                period=cdk.Duration.minutes(5),
            ),
            threshold=0,
            topic=topic,
            description=f"The schedule did not switch the endpoints of {settings.stage}. The events"
            f" of stack {stack_name} say why (often a lack of instances). Switch by hand:"
            f" make on STAGE={settings.stage}, or make off STAGE={settings.stage}.",
        )

    def _state_machine(self, name: str, stack_name: str) -> sfn.StateMachine:
        stack = cdk.Stack.of(self)
        role = iam.Role(
            self,
            "StateMachineRole",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            inline_policies={
                "Switch": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["cloudformation:DescribeStacks", "cloudformation:UpdateStack"],
                            resources=wildcards(
                                self,
                                {
                                    stack.format_arn(
                                        service="cloudformation",
                                        resource="stack",
                                        resource_name=f"{stack_name}/*",
                                    ): "CloudFormation ends a stack's ARN with an id of its own."
                                },
                            ),
                        ),
                        # CloudFormation reads parameters of this kind as whoever asks for the
                        # update, not as the stack's role.
                        iam.PolicyStatement(
                            actions=["ssm:GetParameters"], resources=[bootstrap_version_arn(self)]
                        ),
                    ]
                )
            },
        )
        return workflow(
            self,
            name=name,
            definition=_WORKFLOW,
            role=role,
            literals={"StackName": stack_name},
            include_execution_data=True,
        )
