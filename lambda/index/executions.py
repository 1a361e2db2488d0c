"""Executions of the state machine that loads indexes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contract.index_objects import execution_name

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient


def start(stepfunctions: SFNClient, state_machine_arn: str, index: Mapping[str, Any]) -> str:
    """Starts the loading of an index unless it runs already; returns the execution's ARN."""
    index_id = index["index_id"]
    for name, arn in running(stepfunctions, state_machine_arn):
        if name.startswith(f"{index_id}-"):
            return arn
    attempt = 0
    while True:
        attempt += 1
        name = execution_name(index_id, attempt)
        try:
            return stepfunctions.start_execution(
                stateMachineArn=state_machine_arn, name=name, input=json.dumps(index)
            )["executionArn"]
        except ClientError as error:
            # An earlier attempt, or the first of a corpus that is deployed again.
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise


def stop_others(stepfunctions: SFNClient, state_machine_arn: str, index_id: str | None) -> None:
    """Stops what loads other indexes, since nobody waits for them any more."""
    for name, arn in running(stepfunctions, state_machine_arn):
        if index_id is None or not name.startswith(f"{index_id}-"):
            stepfunctions.stop_execution(
                executionArn=arn,
                error="IndexNotWanted",
                cause="Another index was deployed, or the stage is being removed.",
            )


def running(stepfunctions: SFNClient, state_machine_arn: str) -> Iterator[tuple[str, str]]:
    """Name and ARN of each execution that runs."""
    pages = stepfunctions.get_paginator("list_executions").paginate(
        stateMachineArn=state_machine_arn, statusFilter="RUNNING"
    )
    for page in pages:
        for execution in page["executions"]:
            yield execution["name"], execution["executionArn"]
