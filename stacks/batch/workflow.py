"""The state machine that sees a batch through, what starts it, and what tells of its failures."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.batch.steps import BatchSteps
from stacks.common.alarms import alarm
from stacks.common.workflow import hand_broken_executions_to, workflow

_DEFINITION = Path(__file__).parent / "workflow.asl.json"


class BatchWorkflow(Construct):
    """One execution a batch, named by the batch's id, so that nothing is ever done twice.

    name: of the state machine: it calls a function that must know it, and other stacks do too.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        steps: BatchSteps,
        bucket: s3.IBucket,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        self._steps = steps
        self._state_machine = self._build_state_machine(name)
        self._start_for_files(bucket)
        self._report_ended_executions()
        self._tell(topic)

    def _build_state_machine(self, name: str) -> sfn.StateMachine:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            inline_policies={
                "Batch": iam.PolicyDocument(
                    statements=[
                        # No role is passed: a transform job has the one of its model.
                        iam.PolicyStatement(
                            actions=[
                                "sagemaker:AddTags",
                                "sagemaker:CreateTransformJob",
                                "sagemaker:DescribeTransformJob",
                            ],
                            resources=self._steps.jobs,
                        ),
                        iam.PolicyStatement(
                            actions=["lambda:InvokeFunction"],
                            resources=[self._steps.function.function_arn],
                        ),
                    ]
                )
            },
        )
        return workflow(
            self,
            name=name,
            definition=_DEFINITION,
            role=role,
            substitutions={"BatchStepsArn": self._steps.function.function_arn},
            # Names of files are the callers' own affair.
            include_execution_data=False,
        )

    def _start_for_files(self, bucket: s3.IBucket) -> None:
        events.Rule(
            self,
            "FilePut",
            description="A file was put below input/ of the batch bucket",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [bucket.bucket_name]},
                    "object": {"key": [{"prefix": "input/"}]},
                },
            ),
            targets=[targets.LambdaFunction(self._steps.function)],
        )

    def _report_ended_executions(self) -> None:
        """An execution that was stopped, or broke, may leave a job running and no report."""
        hand_broken_executions_to(
            self._steps.function,
            self,
            self._state_machine,
            description="A batch's execution ended otherwise than by itself",
        )

    def _tell(self, topic: sns.ITopic) -> None:
        period = cdk.Duration.minutes(5)
        machine = self._state_machine
        ended = {
            "Failed": machine.metric_failed(period=period, statistic=cloudwatch.Stats.SUM),
            "TimedOut": machine.metric_timed_out(period=period, statistic=cloudwatch.Stats.SUM),
        }
        for id_, metric in ended.items():
            alarm(
                self,
                id_,
                metric=metric,
                threshold=0,
                topic=topic,
                description="A batch failed; output/<batch id>/report.json in the batch bucket says"
                " why.",
            )
        alarm(
            self,
            "FileIgnored",
            metric=self._steps.function.metric(
                "AsyncEventsDropped", period=period, statistic=cloudwatch.Stats.SUM
            ),
            threshold=0,
            topic=topic,
            description="A file in the batch bucket started no batch, or a batch ended without a"
            " report; the log of the batch steps' function says why. Upload the file again.",
        )
