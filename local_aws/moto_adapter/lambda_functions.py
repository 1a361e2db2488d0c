"""Lambda: runs the functions that moto stores, and keeps the settings that moto drops."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

from moto.awslambda.exceptions import (
    InvalidParameterValueException,
    LambdaClientError,
    UnknownFunctionException,
)
from moto.awslambda.models import LambdaBackend, LambdaStorage, lambda_backends
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
    """Everything needed to run a function; sizes in MB, times in seconds.

    `invoked_arn` is as the caller named it, perhaps by an alias. `snap_start` is true for versions
    alone: elsewhere the setting has no effect.
    """

    name: str
    arn: str
    invoked_arn: str
    version: str
    state: str
    snap_start: bool
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

    def take_snapshot(self, function: LambdaFunction, done: Callable[[str | None], None]) -> None:
        """Imports a published version, and calls `done` with the reason why it cannot, if any."""


class _InUseError(LambdaClientError):
    code = 409

    def __init__(self, aliases: list[str]) -> None:
        super().__init__(
            "ResourceConflictException",
            "Unable to delete version because the following aliases reference it:"
            f" [{', '.join(aliases)}]",
        )


lambda_routers = Substitutes[LambdaRouter]()


def find_lambda_function(name: str, region: str) -> LambdaFunction | None:
    """The function of this name or ARN, qualified or not, if it exists."""
    parts = name.split(":")
    account = DEFAULT_ACCOUNT_ID
    if parts[0] == "arn" and len(parts) > 5:
        region, account = parts[3], parts[4]
    try:
        return _described(lambda_backends[account][region].get_function(name), _split(name)[1])
    except UnknownFunctionException:
        return None


def _described(function: Any, qualifier: str | None = None) -> LambdaFunction:
    logging_config = function.logging_config
    log_environment = {}
    if logging_config.get("LogFormat") == "JSON":
        log_environment["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        level = logging_config.get("ApplicationLogLevel", "INFO")
        log_environment["AWS_LAMBDA_LOG_LEVEL"] = level
    # Unlike what a version has, it changes later.
    backend = lambda_backends[function.account_id][function.region]
    latest = backend.get_function(function.function_name)
    reserved = latest.reserved_concurrency
    return LambdaFunction(
        name=function.function_name,
        arn=function.function_arn,
        invoked_arn=f"{latest.function_arn}:{qualifier}" if qualifier else function.function_arn,
        version=str(function.version),
        state=function.state,
        snap_start=_has_snapshot(function),
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
        name, qualifier = unquote(self.path.rsplit("/", 2)[-2]), self._get_param("Qualifier")
        answer = router.answer(
            _described(self.backend.get_function(name, qualifier), qualifier or _split(name)[1]),
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


def _keep_settings(original: Callable[..., Any]) -> Any:
    def init(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        # moto drops these.
        self.logging_config = spec.get("LoggingConfig") or {}
        self.snap_start = (spec.get("SnapStart") or {}).get("ApplyOn", "None")
        original(self, account_id, spec, *args, **kwargs)
        _check_snap_start(self)

    return init


def _update_all_configuration(original: Callable[..., Any]) -> Any:
    def update(self: Any, updates: dict[str, Any]) -> Any:
        # moto ignores changes of these.
        self.logging_config = updates.get("LoggingConfig", self.logging_config)
        self.tracing_config = updates.get("TracingConfig", self.tracing_config)
        self.kms_key_arn = updates.get("KMSKeyArn", self.kms_key_arn)
        if "EphemeralStorage" in updates:
            self.ephemeral_storage = updates["EphemeralStorage"]["Size"]
        self.snap_start = updates.get("SnapStart", {}).get("ApplyOn", self.snap_start)
        answer = original(self, updates)
        _check_snap_start(self)
        return answer

    return update


def _show_settings(original: Callable[..., Any]) -> Any:
    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        shown = {"LogFormat": "Text", "LogGroup": self.logs_group_name, **self.logging_config}
        status = "On" if _has_snapshot(self) and self.state == "Active" else "Off"
        reason = getattr(self, "state_reason", None)
        return {
            **original(self, *args, **kwargs),
            "LoggingConfig": shown,
            "SnapStart": {"ApplyOn": self.snap_start, "OptimizationStatus": status},
            **({"StateReason": reason} if reason else {}),
        }

    return get


def _check_snap_start(function: Any) -> None:
    if function.snap_start != "PublishedVersions":
        return
    name, _, minor = (function.run_time or "").partition(".")
    if name != "python3" or int(minor) < 12:
        raise InvalidParameterValueException(
            f"{function.run_time} is not supported for SnapStart enabled functions."
        )
    if function.ephemeral_storage > 512:
        raise InvalidParameterValueException(
            "SnapStart is not supported with more than 512 MB of ephemeral storage."
        )


def _has_snapshot(function: Any) -> bool:
    return bool(function.snap_start == "PublishedVersions" and function.version != "$LATEST")


def _publish_version(_original: Callable[..., Any]) -> Any:
    # moto judges wrongly whether something has changed, and counts the versions that there are,
    # so that it gives the number of a deleted one again.
    def publish(self: Any, name_or_arn: str, description: str = "") -> Any:
        latest = self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
        versions = self._functions[latest.function_name]["versions"]
        if versions and _content(versions[-1]) == _content(latest):
            return versions[-1]
        latest.last_version = getattr(latest, "last_version", 0) + 1
        version = copy.copy(latest)
        version.set_version(latest.last_version)
        version.description = description or latest.description
        versions.append(version)
        self._arns[version.function_arn] = version
        router = lambda_routers.current
        if router is not None and _has_snapshot(version):
            version.state = "Pending"

            def done(failure: str | None) -> None:
                version.state_reason = failure
                version.state = "Failed" if failure else "Active"

            router.take_snapshot(_described(version), done)
        return version

    return publish


def _content(function: Any) -> dict[str, Any]:
    """What has to differ for another version."""
    other = {"FunctionArn", "LastModified", "SnapStart", "State", "StateReason", "Version"}
    found = function.get_configuration()
    kept = {key: value for key, value in found.items() if key not in other}
    return {**kept, "snap_start": function.snap_start}


def _permit_qualified(original: Callable[..., Any]) -> Any:
    def add(self: Any, function_name: str, qualifier: str | None, raw: str) -> Any:
        # moto permits the function itself where the name has the qualifier.
        name, of_name = _split(function_name)
        return original(self, name, qualifier or of_name, raw)

    return add


def _split(name: str) -> tuple[str, str | None]:
    """A function's name from a name or ARN, and the version or alias in it."""
    parts = name.split(":")
    parts = parts[6:] if parts[0] == "arn" else parts
    return parts[0], parts[1] if len(parts) > 1 else None


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
        name, of_name = _split(name)
        qualifier = qualifier or of_name
        arn = self.get_function(name).function_arn
        aliases = [a.name for a in self.list_aliases(name) if a.function_version == qualifier]
        if aliases:
            raise _InUseError(aliases)
        original(self, name, qualifier)
        router = lambda_routers.current
        if router is not None:
            router.function_deleted(f"{arn}:{qualifier}" if qualifier else arn)

    return delete


replace(responses, "gen_amzn_requestid_long", _keep_request_id)
replace(LambdaStorage, "publish_version", _publish_version)
replace(MotoFunction, "__init__", _keep_settings)
replace(MotoFunction, "update_configuration", _update_all_configuration)
replace(MotoFunction, "get_configuration", _show_settings)
replace(MotoFunction, "_get_layers_data", _keep_layer_versions)
replace(MotoFunction, "invoke", _invoke_from_inside)
replace(LambdaResponse, "invoke", _invoke_from_api)
replace(LambdaBackend, "add_permission", _permit_qualified)
replace(LambdaBackend, "create_function", _refuse_runtimes)
replace(LambdaBackend, "delete_function", _report_deletion)
