"""Step Functions: what executions act on and report to, and where moto strays from AWS."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from moto.stepfunctions.parser.asl.component.common.payload.payloadvalue.payloadbinding.payload_binding import (  # noqa: E501
    PayloadBindingStringExpressionSimple,
)
from moto.stepfunctions.parser.asl.component.common.string.string_expression import (
    StringContextPath,
    StringJsonPath,
)
from moto.stepfunctions.parser.asl.component.state.choice.comparison.operator.implementations import (  # noqa: E501
    is_operator,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

from local_aws.moto_adapter.patching import replace


@dataclass(frozen=True)
class EndedExecution:
    """An execution that is over; `input` and `output` are JSON."""

    arn: str
    name: str
    state_machine_arn: str
    status: str
    started: datetime
    stopped: datetime
    input: str
    output: str | None
    error: str | None
    cause: str | None


class ExecutionHost(Protocol):
    """What executions act on and report to."""

    def client(self, service: str, region: str) -> Any:
        """The boto3 client for a task."""

    def execution_ended(self, execution: EndedExecution) -> None:
        """Is told of every execution's end, when the API already says so."""


# The newest comes last and is asked; with none, moto does what it does by itself.
_execution_hosts: list[ExecutionHost] = []


def add_execution_host(host: ExecutionHost) -> None:
    """Lets executions act with the clients of `host` from now on."""
    _execution_hosts.append(host)


def remove_execution_host(host: ExecutionHost) -> None:
    """Undoes `add_execution_host`; what runs goes on running."""
    if host in _execution_hosts:
        _execution_hosts.remove(host)


def _client_of_host(original: Callable[..., Any]) -> Any:
    def client(region: str, service: str, state_credentials: Any = None) -> Any:
        # moto looks for itself on the port of an environment variable.
        if _execution_hosts:
            return _execution_hosts[-1].client(service, region)
        return original(region=region, service=service, state_credentials=state_credentials)

    return client


def _report_end(original: Callable[..., Any]) -> Any:
    def terminated(self: Any) -> None:
        original(self)
        if not _execution_hosts:
            return
        execution = self.execution
        output = None if execution.output is None else json.dumps(execution.output)
        _execution_hosts[-1].execution_ended(
            EndedExecution(
                arn=execution.exec_arn,
                name=execution.name,
                state_machine_arn=execution.state_machine.arn,
                status=execution.status,
                started=execution.start_date,
                stopped=execution.stop_date,
                input=execution.execution_input,
                output=output,
                error=execution.error,
                cause=execution.cause,
            )
        )

    return terminated


_starting = threading.Lock()


def _start_once(original: Callable[..., Any]) -> Any:
    def start(self: Any, state_machine_arn: str, name: str | None = None, *rest: Any) -> Any:
        # moto calls every execution without a name "None", and starts two of one name when two
        # ask for it at the same time.
        with _starting:
            return original(self, state_machine_arn, name or str(uuid.uuid4()), *rest)

    return start


def _keep_reason(original: Callable[..., Any]) -> Any:
    def stop(self: Any) -> Any:
        # moto drops what is said about it.
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        if execution.status == "RUNNING":
            execution.error = self._get_param("error")
            execution.cause = self._get_param("cause")
        return original(self)

    return stop


def _stop_when_begun(original: Callable[..., Any]) -> Any:
    def stop(self: Any, *args: Any, **kwargs: Any) -> None:
        # moto fails, or forgets the wish, before the execution's thread is under way.
        deadline = time.monotonic() + 5
        while (self.env is None or self.env.program_state() is None) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.005)
        original(self, *args, **kwargs)

    return stop


def _keep_stopped(original: Callable[..., Any]) -> Any:
    def set_error(self: Any, *args: Any, **kwargs: Any) -> None:
        # A task that is under way when its execution is stopped stumbles over that; the
        # execution was stopped all the same.
        if not isinstance(self.program_state(), ProgramStopped):
            original(self, *args, **kwargs)

    return set_error


def _read_reserved_names(original: Callable[..., Any]) -> Any:
    def visit(self: Any, context: Any) -> Any:
        # To moto's grammar a path in a parameter whose name is a word of the language
        # ("RoleArn.$") is plain text.
        binding = original(self, context)
        if not binding.field.endswith(".$"):
            return binding
        path = binding.payload_value.val
        kind = StringContextPath if path.startswith("$$") else StringJsonPath
        return PayloadBindingStringExpressionSimple(binding.field[:-2], kind(path))

    return visit


def _answer_in_json(original: Callable[..., Any]) -> Any:
    def eval_service_task(self: Any, env: Any, *args: Any, **kwargs: Any) -> None:
        # moto leaves datetimes in the state, on which it stumbles when the execution ends.
        original(self, env, *args, **kwargs)
        env.stack[-1] = json.loads(to_json_str(env.stack[-1]))

    return eval_service_task


def _read_timestamps(_original: Callable[..., Any]) -> Any:
    def string_to_timestamp(text: str) -> datetime | None:
        # moto reads whole seconds in UTC only, not even the times of its own context object.
        try:
            moment = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            return None
        return moment if moment.tzinfo else None

    return string_to_timestamp


replace(state_task_service_aws_sdk, "boto_client_for", _client_of_host)
replace(lambda_eval_utils, "boto_client_for", _client_of_host)
replace(BaseExecutionWorkerCommunication, "terminated", _report_end)
replace(StepFunctionsParserBackend, "start_execution", _start_once)
replace(StepFunctionResponse, "stop_execution", _keep_reason)
replace(ExecutionWorker, "stop", _stop_when_begun)
replace(Environment, "set_error", _keep_stopped)
replace(Preprocessor, "visitPayload_binding_value", _read_reserved_names)
replace(state_task_service_aws_sdk.StateTaskServiceAwsSdk, "_eval_service_task", _answer_in_json)
replace(is_operator.IsTimestamp, "string_to_timestamp", _read_timestamps)
# The services' names in errors to catch: "SageMaker.ResourceInUseException".
state_task_service_aws_sdk._SERVICE_ERROR_NAMES |= {
    "cloudformation": "CloudFormation",
    "sagemaker": "SageMaker",
}
