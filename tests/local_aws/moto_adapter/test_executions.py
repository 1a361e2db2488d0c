"""Executions: their names, stopping them, and reports of their ends."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from tests.support.sagemaker import wait_until
from tests.support.workflow import DESCRIBE, Workflows, job

WAIT = {"Type": "Wait", "Seconds": 60, "End": True}


@pytest.mark.parametrize("preparation", [0, 0.3])
def test_a_stopped_execution_is_aborted_even_at_once(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch, preparation: float
) -> None:
    prepare = ExecutionWorker._get_evaluation_entrypoint

    def slowly(self: ExecutionWorker) -> Any:
        time.sleep(preparation)
        return prepare(self)

    monkeypatch.setattr(ExecutionWorker, "_get_evaluation_entrypoint", slowly)
    machine = workflows.create("Wait", Wait=WAIT)
    execution = workflows.start(machine)
    workflows.states.stop_execution(executionArn=execution)
    assert workflows.wait(execution, 5)["status"] == "ABORTED"


def test_an_execution_that_is_stopped_within_a_task_is_aborted(workflows: Workflows) -> None:
    machine = workflows.create(
        "One",
        **{
            name: {**DESCRIBE, "ResultPath": None, "Next": next_name}
            for name, next_name in (("One", "Two"), ("Two", "One"))
        },
    )
    request = job()
    workflows.aws.context.client("sagemaker").create_training_job(**request)
    for pause in (0.02, 0.05, 0.1, 0.2):
        execution = workflows.start(machine, job=request)
        time.sleep(pause)
        workflows.states.stop_execution(executionArn=execution)
        assert workflows.wait(execution, 5)["status"] == "ABORTED"


def test_executions_have_names_of_their_own(workflows: Workflows) -> None:
    machine = workflows.create("Done", Done={"Type": "Succeed"})
    started = [workflows.states.start_execution(stateMachineArn=machine) for _ in range(2)]
    arns = {execution["executionArn"] for execution in started}
    assert len(arns) == 2
    assert not any(arn.endswith(":None") for arn in arns)


def test_a_name_starts_one_execution(workflows: Workflows) -> None:
    machine = workflows.create("Wait", Wait=WAIT)
    first = workflows.states.start_execution(stateMachineArn=machine, name="once", input="{}")
    again = workflows.states.start_execution(stateMachineArn=machine, name="once", input="{}")
    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(ClientError) as raised:
        workflows.states.start_execution(stateMachineArn=machine, name="once", input='{"other": 1}')
    assert raised.value.response["Error"]["Code"] == "ExecutionAlreadyExists"
    workflows.states.stop_execution(executionArn=first["executionArn"])


def test_of_several_starts_under_one_name_one_begins(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = workflows.create("Wait", Wait=WAIT)
    look = StateMachine._handle_name_input_idempotency

    def slowly(self: StateMachine, *args: Any) -> Any:
        found = look(self, *args)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(StateMachine, "_handle_name_input_idempotency", slowly)

    def start(_: int) -> str:
        started = workflows.states.start_execution(stateMachineArn=machine, name="n", input="{}")
        return str(started["executionArn"])

    with ThreadPoolExecutor(8) as pool:
        (arn,) = set(pool.map(start, range(8)))
    assert len(workflows.states.list_executions(stateMachineArn=machine)["executions"]) == 1
    workflows.states.stop_execution(executionArn=arn)


def test_a_name_is_not_free_again_when_its_execution_has_ended(workflows: Workflows) -> None:
    machine = workflows.create("Done", Done={"Type": "Succeed"})
    once = {"stateMachineArn": machine, "name": "once", "input": "{}"}
    workflows.wait(workflows.states.start_execution(**once)["executionArn"])
    with pytest.raises(workflows.states.exceptions.ExecutionAlreadyExists):
        workflows.states.start_execution(**once)


def test_the_end_of_an_execution_reaches_matching_rules(workflows: Workflows) -> None:
    machine = workflows.create(
        "Choose",
        Choose={
            "Type": "Choice",
            "Choices": [{"Variable": "$.fail", "BooleanEquals": True, "Next": "Failed"}],
            "Default": "Done",
        },
        Failed={"Type": "Fail", "Error": "Broken", "Cause": "on purpose"},
        Done={"Type": "Succeed"},
    )
    events = workflows.aws.context.client("events")
    name = workflows.report_broken(machine)
    workflows.calls()
    assert workflows.run(machine, fail=False)["status"] == "SUCCEEDED"
    execution = workflows.start(machine, fail=True)
    (event,) = wait_until(workflows.calls)
    assert event["source"] == "aws.states"
    assert event["resources"] == [execution]
    detail = event["detail"]
    assert (detail["status"], detail["error"], detail["cause"]) == (
        "FAILED",
        "Broken",
        "on purpose",
    )
    assert json.loads(detail["input"]) == {"fail": True}
    assert detail["executionArn"] == execution

    events.disable_rule(Name=name)
    workflows.wait(workflows.start(machine, fail=True))
    time.sleep(0.3)
    assert workflows.calls() == []


def test_a_stop_is_reported_with_error_and_cause(workflows: Workflows) -> None:
    machine = workflows.create("Wait", Wait=WAIT)
    workflows.report_broken(machine)
    workflows.calls()
    execution = workflows.start(machine)
    workflows.states.stop_execution(executionArn=execution, error="Stopped", cause="as asked")
    (event,) = wait_until(workflows.calls)
    described = workflows.states.describe_execution(executionArn=execution)
    for shown in (event["detail"], described):
        assert (shown["executionArn"], shown["status"]) == (execution, "ABORTED")
        assert (shown["error"], shown["cause"]) == ("Stopped", "as asked")

    # An execution that has ended does not change.
    workflows.states.stop_execution(executionArn=execution, error="Late", cause="too late")
    again = workflows.states.describe_execution(executionArn=execution)
    assert (again["error"], again["stopDate"]) == ("Stopped", described["stopDate"])


def test_an_execution_that_takes_too_long_is_reported(workflows: Workflows) -> None:
    definition = {"StartAt": "Wait", "TimeoutSeconds": 1, "States": {"Wait": WAIT}}
    machine = workflows.states.create_state_machine(
        name=f"m-{uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=workflows.role
    )["stateMachineArn"]
    workflows.report_broken(machine)
    workflows.calls()
    execution = workflows.start(machine)
    (event,) = wait_until(workflows.calls)
    assert (event["detail"]["status"], event["resources"]) == ("TIMED_OUT", [execution])


def test_rules_without_a_pattern_get_no_events(workflows: Workflows) -> None:
    events = workflows.aws.context.client("events")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    events.put_targets(Rule="nightly", Targets=[{"Id": "1", "Arn": workflows.function}])
    machine = workflows.create("Done", Done={"Type": "Succeed"})
    workflows.calls()
    workflows.run(machine)
    time.sleep(0.3)
    assert workflows.calls() == []
    events.remove_targets(Rule="nightly", Ids=["1"])
