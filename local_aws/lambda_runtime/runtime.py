"""The Lambda service's data plane: from Invoke to an answer."""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from local_aws import moto_adapter
from local_aws.context import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Context
from local_aws.lambda_runtime.errors import (
    FunctionNotFoundError,
    InvalidRequestContentError,
    InvocationAbandonedError,
    LambdaError,
    RequestTooLargeError,
    UnusablePackageError,
)
from local_aws.lambda_runtime.logs import FunctionLog
from local_aws.lambda_runtime.packages import Packages
from local_aws.lambda_runtime.pool import WorkerPool
from local_aws.lambda_runtime.process import (
    Invocation,
    Outcome,
    WorkerProcess,
    deadline_ms,
    error_payload,
)
from local_aws.moto_adapter import LambdaAnswer, LambdaFunction

_log = logging.getLogger(__name__)
_MAX_REQUEST = 6 * 1024 * 1024
_MAX_EVENT = 1024 * 1024
_MAX_RESPONSE = 6 * 1024 * 1024 + 100
# AWS allows an import 10 s, then repeats it within the function's own time-out. A busy machine
# of two cores is slower than AWS, so the limit here is longer and there is no second attempt.
_INIT_TIMEOUT = 60.0
# AWS waits 1 and 2 minutes before it repeats a failed event.
_EVENT_RETRY_SECONDS = (1.0, 2.0)


@dataclass(frozen=True, slots=True)
class LambdaResult:
    """What Invoke answers.

    Attributes:
        payload: JSON: what the handler returned, or an error object.
        error: None, or "Unhandled" when the function failed.
        log: The last 4 KB of what it printed; "" unless asked for.
    """

    payload: bytes
    error: str | None
    log: str


class LambdaRuntime:
    """Runs the functions that moto's Lambda service holds.

    Functions run as processes that stay warm, one for each simultaneous invocation; a change of
    code or configuration brings new ones. Events (invocation type Event) are repeated twice
    after 1 and 2 s when they fail (`MaximumRetryAttempts` is honoured); there are no
    destinations and no dead-letter queues.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        folder = context.state_dir / "lambda"
        self._packages = Packages(folder)
        self._log_folder = context.state_dir / "logs" / "lambda"
        self._pools: dict[str, tuple[tuple[object, ...], WorkerPool]] = {}
        self._logs: dict[str, FunctionLog] = {}
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._events = ThreadPoolExecutor(max_workers=32, thread_name_prefix="lambda-event")
        moto_adapter.lambda_routers.add(self)

    def close(self) -> None:
        """Ends every worker and forgets events that wait for a repetition."""
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
        tail: bool = False,
    ) -> LambdaResult:
        """Invokes a function and waits for its answer.

        Args:
            function: Name, or ARN with or without a version or alias.
            payload: JSON, at most 6 MB.
            wait_seconds: Leave the function to itself after this time; default: never.
            trace_id: X-Ray header; default: a new one.
            tail: Return the log's end.

        Raises:
            LambdaError: The function was not reached; see `errors`.
            InvocationAbandonedError: `wait_seconds` are over.
        """
        found = moto_adapter.find_lambda_function(function, self._context.region)
        if found is None:
            raise FunctionNotFoundError(f"Function not found: {function}")
        return self._invoke(found, payload, wait_seconds, trace_id, tail)

    def answer(
        self, function: LambdaFunction, payload: bytes, invocation_type: str, log_type: str
    ) -> LambdaAnswer:
        """Answers a request to the Lambda API's Invoke, as moto hands it over."""
        request_id = str(uuid.uuid4())
        headers = {"x-amzn-RequestId": request_id, "x-amz-executed-version": function.version}
        try:
            if invocation_type == "DryRun":
                return LambdaAnswer(204, headers, b"")
            if invocation_type == "Event":
                self._accept_event(function, payload)
                return LambdaAnswer(202, headers, b"")
            result = self._invoke(function, payload, None, None, log_type == "Tail")
        except LambdaError as error:
            headers["x-amzn-ErrorType"] = error.code
            body = {"Type": "User", "message": str(error), "Message": str(error)}
            return LambdaAnswer(error.status, headers, json.dumps(body).encode())
        if result.error:
            headers["X-Amz-Function-Error"] = result.error
        if log_type == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(result.log.encode()).decode()
        return LambdaAnswer(200, headers, result.payload)

    def refusal(self, runtime: str, package_type: str) -> str | None:
        """Why functions of this kind are not run here; None when they are."""
        if package_type == "Zip" and runtime.startswith("python3."):
            return None
        kind = f"runtime {runtime}" if package_type == "Zip" else "package type Image"
        return f"{kind} is not run by the local AWS, which runs zipped Python 3 functions only"

    def function_deleted(self, arn: str) -> None:
        """Ends the workers of a function, all versions of it, that exists no more."""
        with self._lock:
            gone = [key for key in self._pools if key == arn or key.startswith(f"{arn}:")]
            pools = [self._pools.pop(key)[1] for key in gone]
        for pool in pools:
            pool.retire()

    def pids(self) -> list[int]:
        """Process ids of all workers."""
        with self._lock:
            pools = [pool for _, pool in self._pools.values()]
        return [pid for pool in pools for pid in pool.pids()]

    def _accept_event(self, function: LambdaFunction, payload: bytes) -> None:
        _check_payload(payload, _MAX_EVENT)
        self._events.submit(self._run_event, function, payload)

    def _run_event(self, function: LambdaFunction, payload: bytes) -> None:
        delays = _EVENT_RETRY_SECONDS[: function.retries]
        for delay in (*delays, None):
            try:
                if self._invoke(function, payload, None, None, tail=False).error is None:
                    return
            except LambdaError as error:
                _log.warning("event for %s not delivered: %s", function.name, error)
            if delay is None or self._closed.wait(delay):
                return

    def _invoke(
        self,
        function: LambdaFunction,
        payload: bytes,
        wait_seconds: float | None,
        trace_id: str | None,
        tail: bool,
    ) -> LambdaResult:
        _check_payload(payload, _MAX_REQUEST)
        began = time.monotonic()
        pool = self._pool(function)
        worker, is_new = pool.acquire(function.reserved_concurrency)
        request_id = str(uuid.uuid4())
        failure = worker.start(_INIT_TIMEOUT) if is_new else None
        if failure is not None:
            pool.release(worker, usable=False)
            return _result(worker, failure, request_id, tail)
        if tail:
            worker.log.start_tail()
        worker.log.mark(f"START RequestId: {request_id} Version: {function.version}")
        run = _Run(function, pool, worker, request_id, tail)
        worker.send(
            Invocation(
                request_id=request_id,
                function_arn=function.arn,
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
                raise LambdaError("the local AWS has stopped")
            pool = WorkerPool(lambda: self._create_worker(function))
            self._pools[function.arn] = (identity, pool)
        if known is not None:
            known[1].retire()
        return pool

    def _create_worker(self, function: LambdaFunction) -> WorkerProcess:
        refusal = self.refusal(function.runtime, function.package_type)
        if refusal:
            raise UnusablePackageError(f"{function.name}: {refusal}")
        self._tell_python(function.runtime)
        folders = self._packages.import_path(function)
        return WorkerProcess(
            function.handler,
            folders[0],
            self._environment(function, ":".join(map(str, folders))),
            folders[-1],
            self._log_of(function),
        )

    def _tell_python(self, runtime: str) -> None:
        here = f"python{sys.version_info.major}.{sys.version_info.minor}"
        if runtime != here and runtime not in self._told:
            self._told.add(runtime)
            _log.info("functions of runtime %s run under %s here", runtime, here)

    def _environment(self, function: LambdaFunction, import_path: str) -> dict[str, str]:
        # As AWS sets them; AWS_ENDPOINT_URL and the credentials lead here. The function's own
        # come last: CreateFunction of AWS refuses the names that are reserved.
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
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_ENDPOINT_URL": self._context.endpoint_url,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": _log_stream(function),
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            # AWS has no such files; those of whoever runs this must not be found.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **function.log_environment,
            **function.environment,
        }

    def _log_of(self, function: LambdaFunction) -> FunctionLog:
        with self._lock:
            if function.arn not in self._logs:
                stream = _log_stream(function)
                self._logs[function.arn] = FunctionLog(
                    self._log_folder / f"{function.name}.log",
                    lambda lines: moto_adapter.put_log_lines(
                        function.region, function.log_group, stream, lines
                    ),
                )
            return self._logs[function.arn]


@dataclass
class _Run:
    """An invocation that a worker has."""

    function: LambdaFunction
    pool: WorkerPool
    worker: WorkerProcess
    request_id: str
    tail: bool
    sent: float = field(default_factory=time.monotonic)

    def finish(self) -> LambdaResult:
        """Waits as long as the function may run."""
        left = self.function.timeout - (time.monotonic() - self.sent)
        return self.conclude(self.worker.receive(left) or _timed_out(self.function))

    def conclude(self, outcome: Outcome) -> LambdaResult:
        """Gives the worker back and makes the outcome a result."""
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
        return _result(self.worker, outcome, self.request_id, self.tail)


def _result(worker: WorkerProcess, outcome: Outcome, request_id: str, tail: bool) -> LambdaResult:
    payload = outcome.payload
    if outcome.failed and not outcome.usable:
        payload = _with_request_id(payload, request_id)
    log = worker.log.tail().decode("utf-8", "replace") if tail else ""
    return LambdaResult(payload, "Unhandled" if outcome.failed else None, log)


def new_trace_id() -> str:
    """An X-Ray header for a request that is not sampled."""
    number = uuid.uuid4().hex
    return f"Root=1-{int(time.time()):08x}-{number[:24]};Parent={number[:16]};Sampled=0"


def _log_stream(function: LambdaFunction) -> str:
    day = datetime.now(UTC).strftime("%Y/%m/%d")
    return f"{day}/[{function.version}]{uuid.uuid5(uuid.NAMESPACE_URL, function.arn).hex}"


def _check_payload(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        raise RequestTooLargeError(
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        )
    try:
        json.loads(payload or b"{}")
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise InvalidRequestContentError(message) from error


def _timed_out(function: LambdaFunction) -> Outcome:
    message = f"Error: Task timed out after {function.timeout:.2f} seconds"
    return Outcome(error_payload("Sandbox.Timedout", message), failed=True, usable=False)


def _with_request_id(payload: bytes, request_id: str) -> bytes:
    error = json.loads(payload)
    if "requestId" in error:
        return json.dumps({**error, "requestId": request_id}).encode()
    message = f"RequestId: {request_id} {error['errorMessage']}"
    return json.dumps({**error, "errorMessage": message}).encode()
