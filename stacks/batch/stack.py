"""The Batch stack: embeds files of records, of any size, by batch transform."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract.batch_objects import INPUT_PREFIX
from stacks.alarms.stage import batch_alarms
from stacks.batch.steps import BatchSteps
from stacks.common.policies import statement
from stacks.common.stage_stack import StageStack
from stacks.common.workflow import hand_broken_executions_to, workflow
from stacks.foundation.stack import FoundationStack
from stage.settings import Settings

_DEFINITION = Path(__file__).parent / "workflow.asl.json"


class BatchStack(StageStack):
    """Files below `input/` of the batch bucket become vectors below its `output/`.

    It reads at run time which model is deployed, so a new corpus or model changes nothing here,
    and batches run while the endpoints are switched off.
    """

    def __init__(
        self, scope: Construct, *, settings: Settings, foundation: FoundationStack
    ) -> None:
        super().__init__(
            scope,
            "Batch",
            settings=settings,
            contents="vectors for files of any size, by batch transform",
            foundation=foundation,
        )
        bucket = foundation.storage.batch
        steps = BatchSteps(
            self,
            "Steps",
            settings=settings,
            bucket=bucket,
            artifacts=foundation.storage.artifacts,
            key=foundation.key,
        )
        BatchWorkflow(
            self,
            "Workflow",
            name=settings.names.batch_workflow,
            steps=steps,
            bucket=bucket,
            topic=foundation.topic,
        )


class BatchWorkflow(Construct):
    """One execution per batch, named by the batch's id, so that nothing runs twice.

    Args:
        name: of the state machine. The function that it calls and other stacks know it.
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
        # An execution that was stopped or crashed may leave a running job and no report.
        hand_broken_executions_to(
            steps.function,
            self,
            self._state_machine,
            description="A batch's execution failed, timed out or was aborted",
        )
        batch_alarms(
            self, state_machine=self._state_machine, steps=self._steps.function, topic=topic
        )

    def _build_state_machine(self, name: str) -> sfn.StateMachine:
        function_arn = self._steps.function.function_arn
        return workflow(
            self,
            name=name,
            definition=_DEFINITION,
            role_id="Role",
            policy_name="Batch",
            statements=[
                # No iam:PassRole: a transform job has the role of its model.
                statement(
                    self,
                    [
                        "sagemaker:AddTags",
                        "sagemaker:CreateTransformJob",
                        "sagemaker:DescribeTransformJob",
                    ],
                    self._steps.jobs,
                ),
                statement(self, ["lambda:InvokeFunction"], [function_arn]),
            ],
            substitutions={"BatchStepsArn": function_arn},
            # They would show the names of callers' files.
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
                    "object": {"key": [{"prefix": INPUT_PREFIX}]},
                },
            ),
            targets=[targets.LambdaFunction(self._steps.function)],
        )
