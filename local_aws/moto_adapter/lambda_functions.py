"""Lambda: runs the functions that moto stores, and keeps the settings that moto drops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

from moto.awslambda.exceptions import InvalidParameterValueException, UnknownFunctionException
from moto.awslambda.models import LambdaBackend, lambda_backends
from moto.awslambda.models import LambdaFunction as MotoFunction
from moto.awslambda.responses import LambdaResponse
from moto.core import responses
from moto.core.models import DEFAULT_ACCOUNT_ID

from local_aws.moto_adapter.patching import Substitutes, replace


@dataclass(frozen=True)
class LambdaLayer:
    """A version of a layer: its ARN and the bytes of its zip file."""

    arn: str
    content: bytes


@dataclass(frozen=True)
class LambdaFunction:
    """Everything needed to run a function; sizes in MB, times in seconds."""

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
    log_group: str
    role_arn: str
    log_environment: dict[str, str]

    @property
    def identity(self) -> tuple[object, ...]:
        """Changes when running processes no longer match what was deployed."""
        return (
            self.code_sha256,
            self.runtime,
            self.handler,
            self.timeout,
            self.memory_size,
            tuple(sorted(self.environment.items())),
            tuple(layer.arn for layer in self.layers),
            self.log_group,
            self.role_arn,
            tuple(sorted(self.log_environment.items())),
        )


@dataclass(frozen=True)
class LambdaAnswer:
    """The Lambda API's answer to Invoke."""

    status: int
    headers: dict[str, str]
    payload: bytes


class LambdaRouter(Protocol):
    """Runs functions instead of moto's Docker containers."""

    def answer(
        self, function: LambdaFunction, payload: bytes, invocation_type: str
    ) -> LambdaAnswer:
        """Answers Invoke."""

    def refusal(self, runtime: str, package_type: str) -> str | None:
        """Why a function of this kind cannot be created; None if it can."""

    def function_deleted(self, arn: str) -> None:
        """Called after a function was deleted."""


lambda_routers = Substitutes[LambdaRouter]()


def find_lambda_function(name: str, region: str) -> LambdaFunction | None:
    """The function of this name or ARN, qualified or not, if it exists."""
    parts = name.split(":")
    account = DEFAULT_ACCOUNT_ID
    if parts[0] == "arn" and len(parts) > 5:
        region, account = parts[3], parts[4]
    try:
        return _described(lambda_backends[account][region].get_function(name))
    except UnknownFunctionException:
        return None


def _described(function: Any) -> LambdaFunction:
    logging_config = function.logging_config
    log_environment = {}
    if logging_config.get("LogFormat") == "JSON":
        log_environment["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        level = logging_config.get("ApplicationLogLevel", "INFO")
        log_environment["AWS_LAMBDA_LOG_LEVEL"] = level
    reserved = function.reserved_concurrency
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
        log_group=logging_config.get("LogGroup") or function.logs_group_name,
        role_arn=function.role,
        log_environment=log_environment,
    )


def _as_bytes(body: str | bytes | None) -> bytes:
    return body.encode() if isinstance(body, str) else body or b""


def _invoke_from_inside(original: Callable[..., Any]) -> Any:
    def invoke(self: Any, body: str | bytes, request_headers: Any, response_headers: Any) -> Any:
        # Callers within moto: notifications of S3, targets of EventBridge, rotations of secrets.
        router = lambda_routers.current
        if router is None:
            return original(self, body, request_headers, response_headers)
        kind = request_headers.get("x-amz-invocation-type", "RequestResponse")
        answer = router.answer(_described(self), _as_bytes(body), kind)
        response_headers.update(answer.headers)
        return answer.payload

    return invoke


def _invoke_from_api(original: Callable[..., Any]) -> Any:
    def invoke(self: Any) -> Any:
        router = lambda_routers.current
        if router is None:
            return original(self)
        name = unquote(self.path.rsplit("/", 2)[-2])
        answer = router.answer(
            _described(self.backend.get_function(name, self._get_param("Qualifier"))),
            _as_bytes(self.body),
            self.headers.get("X-Amz-Invocation-Type", "RequestResponse"),
        )
        # moto reads the status from this header.
        status = {"Content-Type": "application/json", "status": str(answer.status)}
        return answer.status, {**status, **answer.headers}, answer.payload

    return invoke


def _keep_request_id(original: Callable[..., Any]) -> Any:
    def make(headers: dict[str, Any] | None = None) -> str:
        # moto gives every answer an id of its own; an invocation's is in the function's log.
        given: str | None = (headers or {}).get("x-amzn-requestid")
        return given or str(original(headers))

    return make


def _keep_logging_config(original: Callable[..., Any]) -> Any:
    def init(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        # moto drops LoggingConfig.
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
        router = lambda_routers.current
        kind = spec.get("PackageType", "Zip")
        refusal = router.refusal(spec.get("Runtime", ""), kind) if router else None
        if refusal:
            raise InvalidParameterValueException(f"{spec['FunctionName']}: {refusal}")
        return original(self, spec)

    return create


def _report_deletion(original: Callable[..., Any]) -> Any:
    def delete(self: Any, name: str, qualifier: str | None = None) -> Any:
        arn = self.get_function(name).function_arn
        original(self, name, qualifier)
        router = lambda_routers.current
        if router is not None:
            router.function_deleted(f"{arn}:{qualifier}" if qualifier else arn)

    return delete


replace(responses, "gen_amzn_requestid_long", _keep_request_id)
replace(MotoFunction, "__init__", _keep_logging_config)
replace(MotoFunction, "update_configuration", _update_all_configuration)
replace(MotoFunction, "get_configuration", _show_logging_config)
replace(MotoFunction, "_get_layers_data", _keep_layer_versions)
replace(MotoFunction, "invoke", _invoke_from_inside)
replace(LambdaResponse, "invoke", _invoke_from_api)
replace(LambdaBackend, "create_function", _refuse_runtimes)
replace(LambdaBackend, "delete_function", _report_deletion)
