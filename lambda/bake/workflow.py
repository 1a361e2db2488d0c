"""Executions of the state machine that sees a bake through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

# CloudFormation gives up after 60 minutes; the rest is for stopping the job and answering.
DEADLINE = timedelta(minutes=50)
# The error of an execution that has told CloudFormation of a failure.
BAKE_FAILED = "BakeFailed"


class Workflow:
    """The state machine.

    Args:
        stepfunctions: a boto3 client.
        state_machine_arn: which one.
    """

    def __init__(self, stepfunctions: BaseClient, state_machine_arn: str) -> None:
        self._stepfunctions = stepfunctions
        self._state_machine_arn = state_machine_arn

    def start(
        self, event: Mapping[str, Any], bake_id: str, training_job: Mapping[str, Any]
    ) -> None:
        """Start the execution of a CloudFormation request; a repeated request starts no second."""
        deadline = datetime.now(UTC) + DEADLINE
        execution_input = {
            "event": event,
            "bake_id": bake_id,
            "training_job": training_job,
            "deadline": deadline.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        try:
            self._stepfunctions.start_execution(
                stateMachineArn=self._state_machine_arn,
                name=event["RequestId"],
                input=json.dumps(execution_input),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise

    def stop(self, bake_id: str) -> None:
        """Stop the running executions of one bake."""
        pages = self._stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=self._state_machine_arn, statusFilter="RUNNING"
        )
        for page in pages:
            for execution in page["executions"]:
                arn = execution["executionArn"]
                if input_of(self._stepfunctions, arn).get("bake_id") == bake_id:
                    self._stepfunctions.stop_execution(
                        executionArn=arn,
                        error="BakeDeleted",
                        cause="CloudFormation no longer wants this bake.",
                    )


def input_of(stepfunctions: BaseClient, execution_arn: str) -> dict[str, Any]:
    """What an execution was started with."""
    description = stepfunctions.describe_execution(executionArn=execution_arn)
    parsed: dict[str, Any] = json.loads(description["input"])
    return parsed
