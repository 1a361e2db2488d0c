"""The one file that touches moto's internals.

moto is pinned exactly. Each function here is small and has a contract test
(tests/unit/test_moto_adapter_*.py) that fails when a new moto no longer means the same.
"""

from __future__ import annotations

import copy
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import unquote

from moto.apigateway.models import RestAPI, apigateway_backends
from moto.apigateway.models import UsagePlan as MotoUsagePlan
from moto.apigateway.responses import APIGatewayResponse
from moto.awslambda.exceptions import InvalidParameterValueException, UnknownFunctionException
from moto.awslambda.models import LambdaBackend, lambda_backends
from moto.awslambda.models import LambdaFunction as MotoFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.config import default_user_config
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.events.models import events_backends
from moto.events.utils import EventMessageType
from moto.iam.access_control import PermissionResult
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import FakeBucket
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
from moto.sts.models import sts_backends

# Keeps the underscores in the names of S3 metadata headers, which werkzeug drops.
RequestHandler = MotoRequestHandler


def create_wsgi_app() -> DomainDispatcherApplication:
    """moto's server as one WSGI application; it finds the service of each request itself.

    From now on moto runs state machines and knows AWS's managed policies.
    """
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    default_user_config["iam"]["load_aws_managed_policies"] = True
    return DomainDispatcherApplication(create_backend_app)


# ---- Lambda ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class LambdaLayer:
    """A version of a layer: its ARN and the bytes of its zip file."""

    arn: str
    content: bytes


@dataclass(frozen=True)
class LambdaFunction:
    """What running a function takes; sizes in MB, times in seconds."""

    name: str
    arn: str
    version: str
    region: str
    package_type: str
    runtime: str
    handler: str
    timeout: float
    memory_size: int
    environment: dict[str, str]
    code_sha256: str
    code: bytes
    layers: tuple[LambdaLayer, ...]
    reserved_concurrency: int | None
    retries: int
    log_group: str
    log_environment: dict[str, str]

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal as long as running processes still are what the function's owner deployed."""
        return (
            self.code_sha256,
            self.runtime,
            self.handler,
            self.timeout,
            self.memory_size,
            tuple(sorted(self.environment.items())),
            tuple(layer.arn for layer in self.layers),
            self.log_group,
            tuple(sorted(self.log_environment.items())),
        )


@dataclass(frozen=True)
class LambdaAnswer:
    """Answer of the Lambda API to Invoke."""

    status: int
    headers: dict[str, str]
    payload: bytes


class LambdaRouter(Protocol):
    """Runs functions in the place of moto's Docker containers."""

    def answer(
        self, function: LambdaFunction, payload: bytes, invocation_type: str, log_type: str
    ) -> LambdaAnswer:
        """Answers Invoke."""

    def refusal(self, runtime: str, package_type: str) -> str | None:
        """Why a function of this kind cannot be created; None when it can."""

    def function_deleted(self, arn: str) -> None:
        """Is told of a deleted function."""


# The newest comes last and answers; with none, moto does what it does by itself.
_lambda_routers: list[LambdaRouter] = []


def add_lambda_router(router: LambdaRouter) -> None:
    """Sends every invocation, whoever makes it, to `router` from now on."""
    _lambda_routers.append(router)


def remove_lambda_router(router: LambdaRouter) -> None:
    """Undoes `add_lambda_router`."""
    if router in _lambda_routers:
        _lambda_routers.remove(router)


def find_lambda_function(name: str, region: str) -> LambdaFunction | None:
    """The function of this name or ARN, qualified or not; None when there is none."""
    parts = name.split(":")
    account = DEFAULT_ACCOUNT_ID
    if parts[0] == "arn" and len(parts) > 5:
        region, account = parts[3], parts[4]
    try:
        return _described(lambda_backends[account][region].get_function(name))
    except UnknownFunctionException:
        return None


def put_log_lines(region: str, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
    """Appends lines (time in ms, text) to a log stream; makes group and stream when absent."""
    backend = logs_backends[DEFAULT_ACCOUNT_ID][region]
    if group not in backend.groups:
        backend.create_log_group(group, {})
    backend.ensure_log_stream(group, stream)
    events = [{"timestamp": time, "message": text} for time, text in lines]
    backend.put_log_events(group, stream, events)


def _described(function: Any) -> LambdaFunction:
    logging_config = function.logging_config
    log_environment = {}
    if logging_config.get("LogFormat") == "JSON":
        log_environment["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        level = logging_config.get("ApplicationLogLevel", "INFO")
        log_environment["AWS_LAMBDA_LOG_LEVEL"] = level
    reserved = function.reserved_concurrency
    retries = [c.config.get("MaximumRetryAttempts", 2) for c in function.event_invoke_config]
    return LambdaFunction(
        name=function.function_name,
        arn=function.function_arn,
        version=str(function.version),
        region=function.region,
        package_type=function.package_type,
        runtime=function.run_time or "",
        handler=function.handler or "",
        timeout=float(function.timeout),
        memory_size=int(function.memory_size),
        environment={key: str(value) for key, value in function.environment_vars.items()},
        code_sha256=function.code_sha_256,
        code=getattr(function, "code_bytes", b""),
        layers=tuple(LambdaLayer(v.arn, v.code_bytes) for v in function.kept_layer_versions),
        reserved_concurrency=None if reserved is None else int(reserved),
        retries=int(retries[0]) if retries else 2,
        log_group=logging_config.get("LogGroup") or function.logs_group_name,
        log_environment=log_environment,
    )


def _as_bytes(body: str | bytes | None) -> bytes:
    return body.encode() if isinstance(body, str) else body or b""


def _invoke_from_inside(
    self: Any, body: str | bytes, request_headers: Any, response_headers: Any
) -> bytes:
    # Callers within moto: notifications of S3, targets of EventBridge, rotations of secrets.
    kind = request_headers.get("x-amz-invocation-type", "RequestResponse")
    answer = _lambda_routers[-1].answer(_described(self), _as_bytes(body), kind, "None")
    response_headers.update(answer.headers)
    return answer.payload


def _invoke_from_api(self: Any) -> tuple[int, dict[str, str], bytes]:
    name = unquote(self.path.rsplit("/", 2)[-2])
    function = self.backend.get_function(name, self._get_param("Qualifier"))
    answer = _lambda_routers[-1].answer(
        _described(function),
        _as_bytes(self.body),
        self.headers.get("X-Amz-Invocation-Type", "RequestResponse"),
        self.headers.get("X-Amz-Log-Type", "None"),
    )
    # moto takes the status from here.
    status = {"Content-Type": "application/json", "status": str(answer.status)}
    return answer.status, {**status, **answer.headers}, answer.payload


def _replace(owner: object, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(make(original)))


def _only_routed(replacement: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return (replacement if _lambda_routers else original)(*args, **kwargs)

        return call

    return make


def _keep_logging_config(original: Callable[..., Any]) -> Any:
    def init(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        # moto forgets LoggingConfig.
        self.logging_config = spec.get("LoggingConfig") or {}
        original(self, account_id, spec, *args, **kwargs)

    return init


def _update_all_configuration(original: Callable[..., Any]) -> Any:
    def update(self: Any, updates: dict[str, Any]) -> Any:
        # moto ignores changes of these.
        self.logging_config = updates.get("LoggingConfig", self.logging_config)
        self.tracing_config = updates.get("TracingConfig", self.tracing_config)
        self.kms_key_arn = updates.get("KMSKeyArn", self.kms_key_arn)
        if "EphemeralStorage" in updates:
            self.ephemeral_storage = updates["EphemeralStorage"]["Size"]
        return original(self, updates)

    return update


def _show_logging_config(original: Callable[..., Any]) -> Any:
    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        shown = {"LogFormat": "Text", "LogGroup": self.logs_group_name, **self.logging_config}
        return {**original(self, *args, **kwargs), "LoggingConfig": shown}

    return get


def _keep_layer_versions(original: Callable[..., Any]) -> Any:
    def get(self: Any, arns: list[str]) -> Any:
        # AWS keeps a deleted layer version for the functions that use it.
        data = original(self, arns)
        backend = lambda_backends[self.account_id][self.region]
        self.kept_layer_versions = [backend.layers_versions_by_arn(arn) for arn in arns]
        return data

    return get


def _refuse_runtimes(original: Callable[..., Any]) -> Any:
    def create(self: Any, spec: dict[str, Any]) -> Any:
        if _lambda_routers:
            kind = spec.get("PackageType", "Zip")
            refusal = _lambda_routers[-1].refusal(spec.get("Runtime", ""), kind)
            if refusal:
                raise InvalidParameterValueException(f"{spec['FunctionName']}: {refusal}")
        return original(self, spec)

    return create


def _tell_of_deletion(original: Callable[..., Any]) -> Any:
    def delete(self: Any, name: str, qualifier: str | None = None) -> Any:
        arn = self.get_function(name).function_arn
        original(self, name, qualifier)
        for router in _lambda_routers:
            router.function_deleted(f"{arn}:{qualifier}" if qualifier else arn)

    return delete


_replace(MotoFunction, "__init__", _keep_logging_config)
_replace(MotoFunction, "update_configuration", _update_all_configuration)
_replace(MotoFunction, "get_configuration", _show_logging_config)
_replace(MotoFunction, "_get_layers_data", _keep_layer_versions)
_replace(MotoFunction, "invoke", _only_routed(_invoke_from_inside))
_replace(LambdaResponse, "invoke", _only_routed(_invoke_from_api))
_replace(LambdaBackend, "create_function", _refuse_runtimes)
_replace(LambdaBackend, "delete_function", _tell_of_deletion)


# ---- API Gateway ----------------------------------------------------------------------------


@dataclass(frozen=True)
class DeployedStage:
    """A stage and the API as it was when the stage's deployment was created.

    Attributes:
        snapshot: {"id", "binaryMediaTypes": [str], "resources": [{"id", "path", "methods": {verb:
            method}}], "models": {name: schema text}, "validators": {id: validator},
            "gatewayResponses": {type: response}}; the inner dictionaries are those of the
            control plane's API.
        method_settings: By "<path>/<verb>" or "*/*".
        access_log: {"destinationArn", "format"} or {}.
    """

    api_id: str
    region: str
    account_id: str
    name: str
    deployment_id: str
    snapshot: dict[str, Any]
    variables: dict[str, str]
    method_settings: dict[str, Any]
    access_log: dict[str, str]


def find_deployed_stage(api_id: str, stage_name: str) -> DeployedStage | None:
    """A stage of a REST API of any region; None when there is none."""
    for region, backend in list(apigateway_backends[DEFAULT_ACCOUNT_ID].items()):
        api: Any = backend.apis.get(api_id)
        stage: Any = api.stages.get(stage_name) if api else None
        deployment: Any = api.deployments.get(stage.deployment_id) if stage else None
        if deployment is not None:
            return DeployedStage(
                api_id=api_id,
                region=region,
                account_id=DEFAULT_ACCOUNT_ID,
                name=stage_name,
                deployment_id=deployment.id,
                snapshot=deployment.snapshot,
                variables=stage.variables,
                method_settings=stage.method_settings,
                access_log=stage.access_log_settings or {},
            )
    return None


def usage_plans_of_key(
    region: str, value: str
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The API key of this value, None when there is none, and the usage plans it belongs to."""
    backend = apigateway_backends[DEFAULT_ACCOUNT_ID][region]
    key = next((key for key in list(backend.keys.values()) if key.value == value), None)
    if key is None:
        return None, []
    plans = [
        plan.to_json()
        for plan_id, plan in list(backend.usage_plans.items())
        if key.id in backend.usage_plan_keys.get(plan_id, {})
    ]
    return key.to_json(), plans


def _take_snapshot(original: Callable[..., Any]) -> Any:
    def create(self: Any, *args: Any, **kwargs: Any) -> Any:
        deployment = original(self, *args, **kwargs)
        content = {
            "id": self.id,
            "binaryMediaTypes": self.binaryMediaTypes,
            "resources": [
                {
                    "id": resource.id,
                    "path": resource.get_path(),
                    "methods": {
                        verb: method.to_json() for verb, method in resource.resource_methods.items()
                    },
                }
                for resource in self.resources.values()
            ],
            "models": {name: model.schema for name, model in self.models.items()},
            "validators": {v.id: v.to_dict() for v in self.request_validators.values()},
            "gatewayResponses": {
                name: response.to_json() for name, response in self.gateway_responses.items()
            },
        }
        deployment.snapshot = copy.deepcopy(content)
        return deployment

    return create


def _keep_binary_media_types(original: Callable[..., Any]) -> Any:
    def create(self: Any) -> Any:
        # moto forgets them.
        status, headers, body = original(self)
        types = self._get_param("binaryMediaTypes")
        if status != HTTPStatus.OK or not types:
            return status, headers, body
        api = self.backend.get_rest_api(json.loads(body)["id"])
        api.binaryMediaTypes = list(types)
        return status, headers, json.dumps(api.to_dict())

    return create


def _update_model(self: Any) -> str:
    # moto has no UpdateModel.
    _, _, api_id, _, name = self.path.split("/")
    model = self.backend.get_model(api_id, name)
    for change in self._get_param("patchOperations"):
        setattr(model, change["path"].removeprefix("/"), change.get("value"))
    return json.dumps(model.to_json())


def _patch_limits(original: Callable[..., Any]) -> Any:
    def apply(self: Any, changes: list[dict[str, Any]]) -> None:
        # moto fails at a rate that is not whole, and makes a string of a quota's limit.
        types = {"rateLimit": float, "burstLimit": int, "limit": int, "offset": int}
        rest = []
        for change in changes:
            _, part, *names = change["path"].split("/")
            if part in {"throttle", "quota"} and names and names[-1] in types:
                getattr(self, part)[names[-1]] = types[names[-1]](change["value"])
            else:
                rest.append(change)
        original(self, rest)

    return apply


_replace(RestAPI, "create_deployment", _take_snapshot)
_replace(APIGatewayResponse, "create_rest_api", _keep_binary_media_types)
_replace(MotoUsagePlan, "apply_patch_operations", _patch_limits)
setattr(APIGatewayResponse, "update_model", _update_model)  # noqa: B010  it is not declared


# ---- Credentials ----------------------------------------------------------------------------


@dataclass(frozen=True)
class AccessKey:
    """A secret access key and whose it is; temporary ones have a session token and an end."""

    arn: str
    principal_id: str
    secret: str
    token: str | None
    expires: datetime | None


def find_access_key(access_key_id: str) -> AccessKey | None:
    """The active key of an IAM user or of an assumed role; None when there is none."""
    for tokens in list(sts_backends[DEFAULT_ACCOUNT_ID].values()):
        role = tokens.get_assumed_role_from_access_key(access_key_id)
        if role is not None:
            expires = role.expiration.replace(tzinfo=UTC)
            secret, token = role.secret_access_key, role.session_token
            return AccessKey(role.arn, role.user_id, secret, token, expires)
    for identities in list(iam_backends[DEFAULT_ACCOUNT_ID].values()):
        for user in list(identities.users.values()):
            for key in user.access_keys:
                if key.access_key_id == access_key_id and key.status == "Active":
                    return AccessKey(user.arn, user.id, key.secret_access_key, None, None)
    return None


# ---- Step Functions -------------------------------------------------------------------------


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


def _name_executions(original: Callable[..., Any]) -> Any:
    def start(self: Any, state_machine_arn: str, name: str | None = None, *rest: Any) -> Any:
        # moto calls every execution without a name "None".
        return original(self, state_machine_arn, name or str(uuid.uuid4()), *rest)

    return start


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


_replace(state_task_service_aws_sdk, "boto_client_for", _client_of_host)
_replace(lambda_eval_utils, "boto_client_for", _client_of_host)
_replace(BaseExecutionWorkerCommunication, "terminated", _report_end)
_replace(StepFunctionsParserBackend, "start_execution", _name_executions)
_replace(ExecutionWorker, "stop", _stop_when_begun)
_replace(Environment, "set_error", _keep_stopped)
_replace(Preprocessor, "visitPayload_binding_value", _read_reserved_names)
_replace(state_task_service_aws_sdk.StateTaskServiceAwsSdk, "_eval_service_task", _answer_in_json)
_replace(is_operator.IsTimestamp, "string_to_timestamp", _read_timestamps)
# The service's name in errors to catch: "SageMaker.ResourceInUseException".
state_task_service_aws_sdk._SERVICE_ERROR_NAMES["sagemaker"] = "SageMaker"


# ---- S3 -------------------------------------------------------------------------------------


def _enforce_no_policy(_original: Callable[..., Any]) -> Any:
    # moto does not evaluate conditions: a policy that demands TLS would deny everything.
    return lambda *_: PermissionResult.NEUTRAL


_replace(FakeBucket, "get_permission", _enforce_no_policy)


# ---- EventBridge ----------------------------------------------------------------------------


def find_event_targets(region: str, event: dict[str, Any]) -> list[dict[str, Any]]:
    """The targets, as PutTargets took them, of the default bus's enabled rules for an event."""
    bus = events_backends[DEFAULT_ACCOUNT_ID][region].describe_event_bus("default")
    return [
        target
        for rule in list(bus.rules.values())
        # To moto a rule without a pattern, a schedule, matches every event.
        if rule.state == "ENABLED" and rule.event_pattern.get_pattern()
        if rule.event_pattern.matches_event(cast(EventMessageType, event))
        for target in rule.targets
    ]
