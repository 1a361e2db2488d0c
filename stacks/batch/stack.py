"""The Batch stack: embeds files of records, of any size, by batch transform."""

from __future__ import annotations

from constructs import Construct

from stacks.batch.steps import BatchSteps
from stacks.batch.workflow import BatchWorkflow
from stacks.common.stage_stack import StageStack
from stacks.foundation.stack import FoundationStack
from stage.settings import Settings


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
        )
        bucket = foundation.storage.batch
        steps = BatchSteps(self, "Steps", settings=settings, bucket=bucket, key=foundation.key)
        BatchWorkflow(
            self,
            "Workflow",
            name=settings.names.batch_workflow,
            steps=steps,
            bucket=bucket,
            topic=foundation.topic,
        )
