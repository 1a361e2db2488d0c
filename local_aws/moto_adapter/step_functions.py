"""Step Functions: connects executions to the local AWS, and corrects where moto differs."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from botocore import xform_name
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
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

from local_aws.moto_adapter.patching import Substitutes, replace
from local_aws.service_models import service_model


@dataclass(frozen=True)
class EndedExecution:
    """An execution that has ended; `input` and `output` are JSON."""

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
    """Provides the clients of executions and is notified of their ends."""

    def client(self, service: str, region: str, role_arn: str, state_machine_arn: str) -> Any:
        """The boto3 client for a task of a state machine, which acts as a role."""

    def execution_ended(self, execution: EndedExecution) -> None:
        """Called after each execution's end, once the API reports it."""


execution_hosts = Substitutes[ExecutionHost]()


def _client_of_host(original: Callable[..., Any]) -> Any:
    def client(region: str, service: str, state_credentials: Any = None) -> Any:
        host = execution_hosts.current
        if host is not None:
            return host.client(
                service, region, state_credentials.role_arn, state_credentials.state_machine_arn
            )
        # moto expects itself at the port that an environment variable names.
        return original(region=region, service=service, state_credentials=state_credentials)

    return client


def _note_state_machine(original: Callable[..., Any]) -> Any:
    """Keeps beside a task's role for whom Step Functions assumes it."""

    def credentials(self: Any, env: Any) -> Any:
        found = original(self, env)
        machine = env.states.context_object.context_object_data["StateMachine"]
        found.state_machine_arn = machine["Id"]
        return found

    return credentials


def _report_end(original: Callable[..., Any]) -> Any:
    def terminated(self: Any) -> None:
        original(self)
        host = execution_hosts.current
        if host is None:
            return
        execution = self.execution
        output = None if execution.output is None else json.dumps(execution.output)
        host.execution_ended(
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
        # moto names every execution without a name "None", and starts two of one name if two
        # requests ask for it at once.
        with _starting:
            return original(self, state_machine_arn, name or str(uuid.uuid4()), *rest)

    return start


def _keep_reason(original: Callable[..., Any]) -> Any:
    def stop(self: Any) -> Any:
        # moto drops error and cause.
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        if execution.status == "RUNNING":
            execution.error = self._get_param("error")
            execution.cause = self._get_param("cause")
        return original(self)

    return stop


def _stop_once_running(original: Callable[..., Any]) -> Any:
    def stop(self: Any, *args: Any, **kwargs: Any) -> None:
        # Before the execution's thread runs, moto fails or forgets the request.
        deadline = time.monotonic() + 5
        while (self.env is None or self.env.program_state() is None) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.005)
        original(self, *args, **kwargs)

    return stop


def _keep_stopped(original: Callable[..., Any]) -> Any:
    def set_error(self: Any, *args: Any, **kwargs: Any) -> None:
        # A task that runs when its execution is stopped fails; the execution still counts as
        # stopped.
        if not isinstance(self.program_state(), ProgramStopped):
            original(self, *args, **kwargs)

    return set_error


def _read_reserved_names(original: Callable[..., Any]) -> Any:
    def visit(self: Any, context: Any) -> Any:
        # moto's grammar takes the path for plain text where the parameter's name is a keyword
        # of the language ("RoleArn.$").
        binding = original(self, context)
        if not binding.field.endswith(".$"):
            return binding
        path = binding.payload_value.val
        kind = StringContextPath if path.startswith("$$") else StringJsonPath
        return PayloadBindingStringExpressionSimple(binding.field[:-2], kind(path))

    return visit


def _in_pascal_case(original: Callable[..., Any]) -> Any:
    def eval_service_task(
        self: Any, env: Any, *, normalised_parameters: Any, **others: Any
    ) -> None:
        # States name members in capitals ("IndexName"), whatever the API does ("indexName"), which
        # moto leaves to the services that it knows.
        service, name = self._get_boto_service_name(), self._get_boto_service_action()
        model: Any = service_model(service)
        operation = next(each for each in model.operation_names if xform_name(each) == name)
        operation = model.operation_model(operation)
        given = _rename(operation.input_shape, normalised_parameters, _to_member)
        original(self, env, normalised_parameters=given, **others)
        # moto leaves datetimes in the state and fails on them when the execution ends.
        answer = json.loads(to_json_str(env.stack[-1]))
        env.stack[-1] = _rename(operation.output_shape, answer, _to_state)

    return eval_service_task


def _to_member(name: str, members: Any) -> str:
    if name[:1].islower() and name in members:
        raise KeyError(f"{name}: Step Functions calls it {name[:1].upper()}{name[1:]}")
    lowered = name[:1].lower() + name[1:]
    return lowered if name not in members and lowered in members else name


def _to_state(name: str, _members: Any) -> str:
    return name[:1].upper() + name[1:]


def _rename(shape: Any, value: Any, rename: Callable[[str, Any], str]) -> Any:
    """A value with the members of its structures renamed; keys of maps and documents stay."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        renamed = {}
        for name, item in value.items():
            new = rename(name, shape.members)
            member = shape.members.get(new) or shape.members.get(name)
            renamed[new] = _rename(member, item, rename)
        return renamed
    if shape.type_name == "list" and isinstance(value, list):
        return [_rename(shape.member, item, rename) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _rename(shape.value, item, rename) for key, item in value.items()}
    return value


def _read_timestamps(_original: Callable[..., Any]) -> Any:
    def string_to_timestamp(text: str) -> datetime | None:
        # moto reads only whole seconds in UTC, and not even the times of its context object.
        try:
            moment = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            return None
        return moment if moment.tzinfo else None

    return string_to_timestamp


replace(state_task_service_aws_sdk, "boto_client_for", _client_of_host)
replace(lambda_eval_utils, "boto_client_for", _client_of_host)
replace(StateTask, "_eval_state_credentials", _note_state_machine)
replace(BaseExecutionWorkerCommunication, "terminated", _report_end)
replace(StepFunctionsParserBackend, "start_execution", _start_once)
replace(StepFunctionResponse, "stop_execution", _keep_reason)
replace(ExecutionWorker, "stop", _stop_once_running)
replace(Environment, "set_error", _keep_stopped)
replace(Preprocessor, "visitPayload_binding_value", _read_reserved_names)
replace(state_task_service_aws_sdk.StateTaskServiceAwsSdk, "_eval_service_task", _in_pascal_case)
replace(is_operator.IsTimestamp, "string_to_timestamp", _read_timestamps)
# The names of services in errors that a Catch lists: "SageMaker.ResourceInUseException".
state_task_service_aws_sdk._SERVICE_ERROR_NAMES |= {
    "cloudformation": "CloudFormation",
    "s3vectors": "S3Vectors",
    "sagemaker": "SageMaker",
}
