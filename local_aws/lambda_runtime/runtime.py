"""The Lambda service's data plane: answers Invoke."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from local_aws import moto_adapter
from local_aws.context import Context
from local_aws.iam.access import Access, AccessDeniedError
from local_aws.iam.principals import AccessKey, Principal
from local_aws.lambda_runtime.host_packages import UnusablePackageError
from local_aws.lambda_runtime.logs import FunctionLog
from local_aws.lambda_runtime.packages import Packages
from local_aws.lambda_runtime.pool import WorkerPool
from local_aws.lambda_runtime.process import (
    Invocation,
    Outcome,
    Snapshot,
    WorkerProcess,
    deadline_ms,
    error_payload,
)
from local_aws.moto_adapter import LambdaAnswer, LambdaFunction
from local_aws.service_errors import ApiError

logger = logging.getLogger(__name__)
_MAX_REQUEST = 6 * 1024 * 1024
_MAX_EVENT = 1024 * 1024
_MAX_RESPONSE = 6 * 1024 * 1024 + 100
# AWS allows 10 s for the import and then repeats it within the function's timeout. A busy machine
# with two cores is slower than AWS, so this limit is longer, and there is no second attempt.
_INIT_TIMEOUT = 60.0
# AWS waits 1 and 2 minutes before it retries a failed event.
_EVENT_RETRY_SECONDS = (1.0, 2.0)


class InvocationAbandonedError(Exception):
    """The caller stopped waiting; the function runs on."""


@dataclass(frozen=True, slots=True)
class LambdaResult:
    """The outcome of an invocation.

    Attributes:
        payload: The handler's result or an error object, as JSON.
        error: "Unhandled" if the function failed, else None.
    """

    payload: bytes
    error: str | None


class LambdaRuntime:
    """Runs the functions of moto's Lambda service.

    Functions run as processes that stay warm, one for each simultaneous invocation; changed code
    or configuration starts new ones. Failed events (invocation type Event) are retried after 1
    and 2 s. There are no destinations and no dead-letter queues.
    """

    def __init__(self, context: Context, access: Access) -> None:
        self._context = context
        self._access = access
        folder = context.state_dir / "lambda"
        self._packages = Packages(folder)
        self._log_folder = context.state_dir / "logs" / "lambda"
        self._pools: dict[str, tuple[tuple[object, ...], WorkerPool]] = {}
        self._logs: dict[tuple[str, Principal], FunctionLog] = {}
        # Whether the role might create a log stream when the newest worker began.
        self._has_stream: dict[tuple[str, Principal], bool] = {}
        self._reported: set[str] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._events = ThreadPoolExecutor(max_workers=32, thread_name_prefix="lambda-event")
        moto_adapter.lambda_routers.add(self)

    def close(self) -> None:
        """Ends all workers and forgets events that wait for a retry."""
        moto_adapter.lambda_routers.remove(self)
        self._closed.set()
        self._events.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            pools = [pool for _, pool in self._pools.values()]
            self._pools.clear()
        for pool in pools:
            pool.close()

    def invoke(
        self,
        function: str,
        payload: bytes,
        *,
        wait_seconds: float | None = None,
        trace_id: str | None = None,
    ) -> LambdaResult:
        """Invokes a function and waits for its answer.

        Args:
            function: Name, or ARN with or without a version or alias.
            payload: JSON of at most 6 MB.
            wait_seconds: How long to wait; the function then runs on. By default forever.
            trace_id: X-Ray header; by default a new one.

        Raises:
            ApiError: The function was not reached.
            InvocationAbandonedError: `wait_seconds` have passed.
        """
        found = moto_adapter.find_lambda_function(function, self._context.region)
        if found is None:
            message = f"Function not found: {function}"
            raise ApiError(message, "ResourceNotFoundException", 404)
        return self._invoke(found, payload, wait_seconds, trace_id)

    def answer(
        self, function: LambdaFunction, payload: bytes, invocation_type: str
    ) -> LambdaAnswer:
        """Answers a request to the Lambda API's Invoke that moto passes on."""
        request_id = str(uuid.uuid4())
        headers = {"x-amzn-requestid": request_id, "x-amz-executed-version": function.version}
        try:
            if invocation_type == "Event":
                self._accept_event(function, payload, request_id)
                return LambdaAnswer(202, headers, b"")
            result = self._invoke(function, payload, request_id=request_id)
        except ApiError as error:
            headers["x-amzn-ErrorType"] = error.code
            body = {"Type": "User", "message": str(error), "Message": str(error)}
            return LambdaAnswer(error.status, headers, json.dumps(body).encode())
        if result.error:
            headers["X-Amz-Function-Error"] = result.error
        return LambdaAnswer(200, headers, result.payload)

    def refusal(self, runtime: str, package_type: str) -> str | None:
        """Why functions of this kind do not run here; None if they do."""
        if package_type == "Zip" and runtime.startswith("python3."):
            return None
        kind = f"runtime {runtime}" if package_type == "Zip" else "package type Image"
        return f"the local AWS does not run {kind}, only zipped Python 3 functions"

    def function_deleted(self, arn: str) -> None:
        """Ends the workers of all versions of a deleted function."""
        with self._lock:
            gone = [key for key in self._pools if key == arn or key.startswith(f"{arn}:")]
            pools = [self._pools.pop(key)[1] for key in gone]
        for pool in pools:
            pool.retire()

    def take_snapshot(self, function: LambdaFunction, done: Callable[[str | None], None]) -> None:
        """Imports a published version, and calls `done` with the reason why it cannot, if any.

        The process waits for the first event. Further ones import the version anew, so that its
        hooks and credentials are as on AWS, but a start is no faster.
        """
        self._events.submit(self._import, function, done)

    def _import(self, function: LambdaFunction, done: Callable[[str | None], None]) -> None:
        try:
            pool = self._pool(function)
            worker, _ = pool.acquire(None)
            failure = worker.start(_INIT_TIMEOUT)
            pool.release(worker, usable=failure is None)
        except ApiError as error:
            done(str(error))
            return
        done(None if failure is None else str(json.loads(failure.payload)["errorMessage"]))

    def pids(self) -> list[int]:
        """The process ids of all workers."""
        with self._lock:
            pools = [pool for _, pool in self._pools.values()]
        return [pid for pool in pools for pid in pool.pids()]

    def _accept_event(self, function: LambdaFunction, payload: bytes, request_id: str) -> None:
        _check_payload(payload, _MAX_EVENT)
        self._events.submit(self._run_event, function, payload, request_id)

    def _run_event(self, function: LambdaFunction, payload: bytes, request_id: str) -> None:
        for delay in (*_EVENT_RETRY_SECONDS, None):
            try:
                if self._invoke(function, payload, request_id=request_id).error is None:
                    return
            except ApiError as error:
                logger.warning("An event for %s was not delivered: %s", function.name, error)
            if delay is None or self._closed.wait(delay):
                return

    def _invoke(
        self,
        function: LambdaFunction,
        payload: bytes,
        wait_seconds: float | None = None,
        trace_id: str | None = None,
        request_id: str | None = None,
    ) -> LambdaResult:
        _check_payload(payload, _MAX_REQUEST)
        if function.state != "Active":
            raise ApiError(
                "The operation cannot be performed at this time. The function is currently in the"
                f" following state: {function.state}",
                "ResourceConflictException",
                409,
            )
        began = time.monotonic()
        pool = self._pool(function)
        worker, is_new = pool.acquire(function.reserved_concurrency)
        request_id = request_id or str(uuid.uuid4())
        failure = worker.start(_INIT_TIMEOUT) if is_new else None
        if failure is not None:
            pool.release(worker, usable=False)
            return _result(failure, request_id)
        worker.log.mark(f"START RequestId: {request_id} Version: {function.version}")
        run = _Run(function, pool, worker, request_id)
        worker.send(
            Invocation(
                request_id=request_id,
                function_arn=function.invoked_arn,
                payload=payload or b"{}",
                deadline_ms=deadline_ms(function.timeout),
                trace_id=trace_id or new_trace_id(),
            )
        )
        if wait_seconds is None:
            return run.finish()
        patience = wait_seconds - (run.sent - began)
        if patience >= function.timeout:
            return run.finish()
        outcome = worker.receive(patience)
        if outcome is None:
            threading.Thread(target=run.finish, name="lambda-abandoned", daemon=True).start()
            raise InvocationAbandonedError
        return run.conclude(outcome)

    def _pool(self, function: LambdaFunction) -> WorkerPool:
        identity = function.identity
        with self._lock:
            known = self._pools.get(function.arn)
            if known is not None and known[0] == identity:
                return known[1]
            if self._closed.is_set():
                raise ApiError("the local AWS has stopped", "ServiceException", 500)
            pool = WorkerPool(lambda: self._create_worker(function))
            self._pools[function.arn] = (identity, pool)
        if known is not None:
            known[1].retire()
        return pool

    def _create_worker(self, function: LambdaFunction) -> WorkerProcess:
        refusal = self.refusal(function.runtime, function.package_type)
        if refusal:
            raise UnusablePackageError(f"{function.name}: {refusal}")
        self._report_python(function.runtime)
        principal = self._assume_role(function)
        # Lambda says this of requests by the function's code, but not of its own as the role.
        principal = replace(principal, keys={"lambda:SourceFunctionArn": function.arn})
        folders = self._packages.import_path(function)
        environment = self._environment(
            function, ":".join(map(str, folders)), self._access.key_of(principal)
        )
        log = self._log_of(function, principal)
        snapshot = None
        if function.snap_start:
            snapshot = Snapshot(self._access, principal)
            environment["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
            # AWS's SDKs then ask the execution environment for credentials.
            for name in self._access.key_of(principal).environment:
                del environment[name]
        code, site = folders[0], folders[-1]
        return WorkerProcess(function.handler, code, environment, site, log, snapshot=snapshot)

    def _assume_role(self, function: LambdaFunction) -> Principal:
        try:
            return self._access.assume(function.role_arn, "lambda.amazonaws.com", function.name)
        except AccessDeniedError as error:
            raise ApiError(
                f"The role defined for the function cannot be assumed by Lambda. {error}",
                "AccessDeniedException",
                403,
            ) from error

    def _report_python(self, runtime: str) -> None:
        here = f"python{sys.version_info.major}.{sys.version_info.minor}"
        if runtime != here and runtime not in self._reported:
            self._reported.add(runtime)
            logger.info("Functions with runtime %s run under %s here", runtime, here)

    def _environment(
        self, function: LambdaFunction, import_path: str, key: AccessKey
    ) -> dict[str, str]:
        # As on AWS, except that AWS_ENDPOINT_URL leads here. The function's own
        # variables come last; AWS's CreateFunction refuses reserved names.
        code = import_path.split(":", maxsplit=1)[0]
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": import_path,
            "LAMBDA_TASK_ROOT": code,
            "LAMBDA_RUNTIME_DIR": import_path.rsplit(":", maxsplit=1)[-1],
            "_HANDLER": function.handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
            **self._context.environment(function.region, key),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": _log_stream(function),
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            # AWS has no such files, and the user's must not be used.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **function.log_environment,
            **function.environment,
        }

    def _log_of(self, function: LambdaFunction, principal: Principal) -> FunctionLog:
        group, stream = function.log_group, _log_stream(function)
        arn = (
            f"arn:aws:logs:{function.region}:{self._context.account_id}:log-group:{group}"
            f":log-stream:{stream}"
        )

        def allowed(action: str) -> bool:
            return self._access.allows(principal, action, arn, call="Lambda's log")

        def publish(lines: list[tuple[int, str]]) -> None:
            # AWS drops what the function's role may not log.
            if self._has_stream[key] and allowed("logs:PutLogEvents"):
                moto_adapter.put_log_lines(function.region, group, stream, lines)

        key = function.arn, principal
        has_stream = allowed("logs:CreateLogStream")
        with self._lock:
            self._has_stream[key] = has_stream
            if key not in self._logs:
                self._logs[key] = FunctionLog(self._log_folder / f"{function.name}.log", publish)
            return self._logs[key]


@dataclass
class _Run:
    """An invocation that a worker is running."""

    function: LambdaFunction
    pool: WorkerPool
    worker: WorkerProcess
    request_id: str
    sent: float = field(default_factory=time.monotonic)

    def finish(self) -> LambdaResult:
        """Waits until the function's timeout."""
        left = self.function.timeout - (time.monotonic() - self.sent)
        return self.conclude(self.worker.receive(left) or _timed_out(self.function))

    def conclude(self, outcome: Outcome) -> LambdaResult:
        """Releases the worker and turns the outcome into a result."""
        milliseconds = (time.monotonic() - self.sent) * 1000
        size = len(outcome.payload)
        if size > _MAX_RESPONSE:
            message = (
                f"Response payload size ({size} bytes) exceeded maximum allowed payload size "
                f"({_MAX_RESPONSE} bytes)."
            )
            payload = error_payload("Function.ResponseSizeTooLarge", message)
            outcome = Outcome(payload, failed=True, usable=outcome.usable)
        self.worker.log.mark(
            f"END RequestId: {self.request_id}\nREPORT RequestId: {self.request_id}\t"
            f"Duration: {milliseconds:.2f} ms\tMemory Size: {self.function.memory_size} MB"
        )
        self.pool.release(self.worker, usable=outcome.usable)
        return _result(outcome, self.request_id)


def _result(outcome: Outcome, request_id: str) -> LambdaResult:
    payload = outcome.payload
    if outcome.failed and not outcome.usable:
        payload = _with_request_id(payload, request_id)
    return LambdaResult(payload, "Unhandled" if outcome.failed else None)


def new_trace_id() -> str:
    """The X-Ray header of a request that is not sampled."""
    number = uuid.uuid4().hex
    return f"Root=1-{int(time.time()):08x}-{number[:24]};Parent={number[:16]};Sampled=0"


def _log_stream(function: LambdaFunction) -> str:
    day = datetime.now(UTC).strftime("%Y/%m/%d")
    return f"{day}/[{function.version}]{uuid.uuid5(uuid.NAMESPACE_URL, function.arn).hex}"


def _check_payload(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise ApiError(message, "RequestEntityTooLargeException", 413)
    try:
        json.loads(payload or b"{}")
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise ApiError(message, "InvalidRequestContentException") from error


def _timed_out(function: LambdaFunction) -> Outcome:
    message = f"Error: Task timed out after {function.timeout:.2f} seconds"
    return Outcome(error_payload("Sandbox.Timedout", message), failed=True, usable=False)


def _with_request_id(payload: bytes, request_id: str) -> bytes:
    error = json.loads(payload)
    if "requestId" in error:
        return json.dumps({**error, "requestId": request_id}).encode()
    message = f"RequestId: {request_id} {error['errorMessage']}"
    return json.dumps({**error, "errorMessage": message}).encode()
