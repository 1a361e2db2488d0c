"""The Batch stack: embeds files of records, of any size, by batch transform."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from constructs import Construct

from stacks.batch.steps import BatchSteps
from stacks.batch.workflow import BatchWorkflow
from stacks.foundation.stack import FoundationStack
from stage.settings import Settings


class BatchStack(cdk.Stack):
    """Files below `input/` of the batch bucket become vectors below its `output/`.

    It reads at run time which model is deployed, so a new corpus or model changes nothing here,
    and batches work while the endpoints are switched off.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        **options: Any,
    ) -> None:
        super().__init__(scope, id_, **options)
        bucket = foundation.storage.batch
        # Jobs and workflow are named: the API, which is in another stack, knows them by name.
        names = settings.names.prefix
        workflow_name = f"{names}-batch"
        steps = BatchSteps(
            self,
            "Steps",
            settings=settings,
            bucket=bucket,
            key=foundation.key,
            workflow_name=workflow_name,
            job_prefix=names,
        )
        BatchWorkflow(
            self,
            "Workflow",
            name=workflow_name,
            steps=steps,
            bucket=bucket,
            topic=foundation.topic,
        )
