"""Executes the definitions of state machines in moto, their tasks acting on an AWS of the test."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from local_aws import moto_adapter

make_client = boto3.client  # also where a test replaces boto3's


class _Host:
    def __init__(self, client: Callable[..., Any]) -> None:
        self._client = client

    def client(self, service: str, region: str, role_arn: str, state_machine_arn: str) -> Any:
        return self._client(service, region_name=region)

    def execution_ended(self, execution: moto_adapter.EndedExecution) -> None:
        pass


@contextmanager
def tasks_through(client: Callable[..., Any]) -> Iterator[None]:
    """Lets the tasks of executions act through the clients that `client` makes.

    Retries follow at once.
    """
    host = _Host(client)
    moto_adapter.execution_hosts.add(host)
    at_once = patch.object(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None))
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}), at_once:
        yield
    moto_adapter.execution_hosts.remove(host)


def _states(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The states of a machine, and of the machines within its maps."""
    for state in machine["States"].values():
        yield state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


def run_execution(
    definition: str, task: object, name: str = "e", **variables: str
) -> dict[str, Any]:
    """Runs one execution as deployed, but without pauses; returns how it ended.

    Args:
        task: the input.
        variables: substituted in the definition, as well as the partition.
    """
    for variable, value in {"Partition": "aws", **variables}.items():
        definition = definition.replace(f"${{{variable}}}", value)
    document = json.loads(definition)
    for state in _states(document):
        if "Seconds" in state:
            state["Seconds"] = 0
        for retry in state.get("Retry", []):
            if retry["MaxAttempts"]:
                retry.update(IntervalSeconds=1, BackoffRate=1, MaxAttempts=1)
    stepfunctions = make_client("stepfunctions", region_name="eu-west-1")
    machine = stepfunctions.create_state_machine(
        name="machine",
        definition=json.dumps(document),
        roleArn="arn:aws:iam::123456789012:role/StateMachine",
    )
    execution = stepfunctions.start_execution(
        stateMachineArn=machine["stateMachineArn"], name=name, input=json.dumps(task)
    )
    pause = Event()
    give_up_at = time.monotonic() + 300  # a busy machine takes a while
    while time.monotonic() < give_up_at:
        ended = stepfunctions.describe_execution(executionArn=execution["executionArn"])
        if ended["status"] != "RUNNING":
            return ended
        # Not time.sleep, which tests may have replaced: then this would keep the processor from the
        # execution's threads.
        pause.wait(0.02)
    raise AssertionError("the execution does not end")
