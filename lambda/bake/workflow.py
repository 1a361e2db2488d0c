"""Executions of the state machine that runs a bake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient

# CloudFormation gives up after 60 minutes; the rest is for stopping the job and answering.
DEADLINE = timedelta(minutes=50)
# The error of an execution that has reported a failure to CloudFormation.
BAKE_FAILED = "BakeFailed"


class Workflow:
    """The state machine."""

    def __init__(self, stepfunctions: SFNClient, state_machine_arn: str) -> None:
        self._stepfunctions = stepfunctions
        self._state_machine_arn = state_machine_arn

    def start(
        self, event: Mapping[str, Any], bake_id: str, training_job: Mapping[str, Any]
    ) -> None:
        """Starts the execution for a request of CloudFormation, once however often it repeats."""
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
        """Stops the running executions of one bake."""
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
                        cause="CloudFormation no longer needs this bake.",
                    )


def input_of(stepfunctions: SFNClient, execution_arn: str) -> dict[str, Any]:
    """The input that an execution was started with."""
    description = stepfunctions.describe_execution(executionArn=execution_arn)
    parsed: dict[str, Any] = json.loads(description["input"])
    return parsed
