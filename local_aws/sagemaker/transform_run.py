"""One transform job's run: files in, model servers that answer for them, files out.

Knows nothing about the API. The objects are dealt out by key, each to one instance, so there are
never more instances than objects. Instances share this machine.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import urllib3
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from local_aws.sagemaker.children import Children
from local_aws.sagemaker.execution_role import ExecutionRole
from local_aws.sagemaker.instance import Instance, InstancePlan, NotAnsweringError
from local_aws.sagemaker.jobs import RunFailedError
from local_aws.sagemaker.model_data import ModelDataCache, ModelDataError, model_data
from local_aws.sagemaker.storage import (
    Location,
    Upload,
    download,
    find_objects,
    relative_name,
)
from local_aws.sagemaker.transform_records import PayloadTooLargeError, split

# For what SageMaker's agent writes to a job's data log.
logger = logging.getLogger("local_aws.sagemaker.transform")
_HEALTH_CHECK_TIMEOUT = 240.0
_POLL_INTERVAL = 0.1
_RETRY_INTERVAL = 0.5
_DEFAULT_PAYLOAD_MB = 6
_MEGABYTE = 1024 * 1024


class StoppedError(Exception):
    """The job was stopped."""


class _FileError(Exception):
    """A file could not be transformed.

    Args:
        party: "AlgorithmError" or "ClientError", as SageMaker would blame it.
        reason: For the log.
    """

    def __init__(self, party: str, reason: str) -> None:
        super().__init__(reason)
        self.party = party


class TransformRun:
    """Runs a CreateTransformJob request.

    Args:
        request: Already checked.
        container: The model's ContainerDefinition when the job was created.
        folder: The job's own, for everything but logs.
        log_folder: The job's own, for a log of each instance.
        children: Starts the model servers.
        stop: Ends the run at once when set.
    """

    def __init__(
        self,
        request: dict[str, Any],
        container: dict[str, Any],
        *,
        folder: Path,
        log_folder: Path,
        role: ExecutionRole,
        children: Children,
        cache: ModelDataCache,
        stop: threading.Event,
    ) -> None:
        self._request = request
        self._container = container
        self._folder = folder
        self._log_folder = log_folder
        self._role = role
        self._s3 = role.client("s3")
        self._children = children
        self._cache = cache
        self._stop = stop
        source = request["TransformInput"]["DataSource"]["S3DataSource"]
        self._prefix = Location.parse(source["S3Uri"])
        self._name: str = request["TransformJobName"]
        self._concurrency: int = request.get("MaxConcurrentTransforms") or 1
        self._payload_mb: int = request.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MB)
        client = request.get("ModelClientConfig", {})
        self._timeout: int = client.get("InvocationsTimeoutInSeconds", 600)
        self._retries: int = client.get("InvocationsMaxRetries", 3)

    def execute(self, started: Callable[[], None]) -> None:
        """Transforms all objects below the input's prefix.

        Args:
            started: Called once all instances are healthy.

        Raises:
            RunFailedError: There is nothing to transform, the model does not start, or an object
                failed; the others have their outputs.
            StoppedError: The job was stopped. Finished objects have their outputs.
        """
        self._role.pull_image(self._container.get("Image", ""))
        self._role.use_volume_key(self._request["TransformResources"].get("VolumeKmsKeyId"))
        self._role.write_logs("/aws/sagemaker/TransformJobs", self._name)
        keys = self._find_keys()
        count = min(self._request["TransformResources"]["InstanceCount"], len(keys))
        with self._model_dir() as model_dir:
            closing = threading.Event()
            instances = [
                Instance(self._plan(number, model_dir), self._children, closing)
                for number in range(1, count + 1)
            ]
            pool = ThreadPoolExecutor(count, thread_name_prefix="transform")
            try:
                self._start(pool, instances)
                started()
                self._await(
                    [
                        pool.submit(self._transform_files, instance, keys[number::count])
                        for number, instance in enumerate(instances)
                    ]
                )
            finally:
                for instance in instances:
                    instance.close()
                # Nothing answers any more, so running work ends soon ...
                pool.shutdown()
                # ... and instances that were just starting have started.
                for instance in instances:
                    instance.close()

    def _find_keys(self) -> list[str]:
        keys = sorted(key for key, _ in find_objects(self._s3, self._prefix))
        if not keys:
            raise RunFailedError(
                "ClientError: Data download failed: No S3 objects found under S3 URL "
                f'"{self._prefix}" given in input data source.'
            )
        return keys

    @contextlib.contextmanager
    def _model_dir(self) -> Iterator[Path | None]:
        location = model_data(self._container)
        if location is None:
            yield None
            return
        try:
            folder = self._cache.acquire(self._s3, location)
        except ModelDataError as error:
            raise RunFailedError(f"ClientError: {error}") from error
        try:
            yield folder
        finally:
            self._cache.release(folder)

    def _plan(self, number: int, model_dir: Path | None) -> InstancePlan:
        return InstancePlan(
            label=f"transform job {self._name}, instance {number}",
            environment={
                **self._container.get("Environment", {}),
                **self._request.get("Environment", {}),
                **self._batch_environment(),
            },
            model_dir=model_dir,
            folder=self._folder / f"instance-{number}",
            log=self._log_folder / f"instance-{number}.log",
            health_check_timeout=_HEALTH_CHECK_TIMEOUT,
        )

    def _batch_environment(self) -> dict[str, str]:
        many = self._request.get("BatchStrategy", "MultiRecord") == "MultiRecord"
        variables = {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self._payload_mb),
            "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD" if many else "SINGLE_RECORD",
        }
        if "MaxConcurrentTransforms" in self._request:
            variables["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(self._concurrency)
        return variables

    def _start(self, pool: ThreadPoolExecutor, instances: list[Instance]) -> None:
        starts = [pool.submit(instance.start) for instance in instances]
        self._await(starts)
        for instance, start in zip(instances, starts, strict=True):
            if not start.result():
                raise RunFailedError(
                    "AlgorithmError: The container did not pass the ping health check. See job "
                    f"logs for more information (here: {instance.plan.log}; its last line: "
                    f"{instance.last_words()})"
                )

    def _await(self, futures: list[Future[Any]]) -> None:
        """Waits for all and raises the first error; raises StoppedError at once."""
        pending = set(futures)
        while pending:
            pending = wait(pending, _POLL_INTERVAL).not_done
            if self._stop.is_set():
                raise StoppedError
        failures = [error for future in futures if (error := future.exception())]
        if failures:
            raise failures[0]

    def _transform_files(self, instance: Instance, keys: list[str]) -> None:
        """Transforms one instance's files; answers are uploaded while others are computed."""
        failure: RunFailedError | None = None
        with (
            ThreadPoolExecutor(self._concurrency, thread_name_prefix="transform") as requests,
            # The end of one upload may overlap with the beginning of the next.
            ThreadPoolExecutor(2, thread_name_prefix="upload") as uploads,
        ):
            uploading: Future[None] | None = None
            for key in keys:
                began = time.monotonic()
                output = Upload(uploads, self._s3, *self._target(key))
                try:
                    bodies = self._transform_file(instance, requests, key, output)
                except _FileError as error:
                    failure = failure or self._job_failure(instance, key, error)
                    continue
                last, uploading = uploading, output.finish()
                if last is not None:
                    _await_upload(last)
                seconds = time.monotonic() - began
                logger.info("%s: %s: %d requests in %.1f s", self._name, key, bodies, seconds)
            if uploading is not None:
                _await_upload(uploading)
        if failure is not None:
            raise failure

    def _job_failure(self, instance: Instance, key: str, error: _FileError) -> RunFailedError:
        logger.error("%s: %s/%s: %s: %s", self._name, self._prefix.bucket, key, error.party, error)
        return RunFailedError(
            f"{error.party}: See job logs for more information (here: {key}: {error}; "
            f"{instance.plan.log})"
        )

    def _transform_file(
        self, instance: Instance, requests: ThreadPoolExecutor, key: str, output: Upload
    ) -> int:
        """Writes the file's answers in the order of its records; returns their number.

        After any error there is no output.
        """
        source = instance.plan.folder / f"{time.monotonic_ns()}.in"
        separator = b"\n" if self._request["TransformOutput"].get("AssembleWith") == "Line" else b""
        count = 0
        in_flight: deque[Future[bytes]] = deque()
        try:
            download(self._s3, Location(self._prefix.bucket, key), source)
            for body in self._split(source):
                in_flight.append(requests.submit(self._invoke, instance, body))
                count += 1
                # One more than are sent at a time, so that no thread ever waits.
                if len(in_flight) > self._concurrency:
                    output.write(in_flight.popleft().result() + separator)
            while in_flight:
                output.write(in_flight.popleft().result() + separator)
        except BaseException as error:
            output.discard()
            for future in in_flight:
                future.cancel()
            if isinstance(error, PayloadTooLargeError | ClientError):
                raise _FileError("ClientError", str(error)) from error
            raise
        finally:
            source.unlink(missing_ok=True)
        return count

    def _split(self, source: Path) -> Iterator[bytes]:
        return split(
            source,
            by_line=self._request["TransformInput"].get("SplitType") == "Line",
            many=self._request.get("BatchStrategy", "MultiRecord") == "MultiRecord",
            limit=self._payload_mb * _MEGABYTE,
        )

    def _invoke(self, instance: Instance, body: bytes) -> bytes:
        """The answer to one body, with retries if the server fails."""
        headers = {}
        if content_type := self._request["TransformInput"].get("ContentType"):
            headers["Content-Type"] = content_type
        if accept := self._request["TransformOutput"].get("Accept"):
            headers["Accept"] = accept
        reason = ""
        for attempt in range(1 + self._retries):
            if attempt:
                self._stop.wait(_RETRY_INTERVAL)
            self._await_health(instance)
            try:
                answer = instance.post(body, headers, self._timeout)
            except NotAnsweringError:
                reason = "Unable to get response from algorithm"
            except urllib3.exceptions.HTTPError as error:
                reason = f"Unable to get response from algorithm ({type(error).__name__})"
            else:
                if 200 <= answer.status < 300:
                    return answer.data
                text = answer.data[:500].decode(errors="replace")
                reason = f"Bad HTTP status received from algorithm: {answer.status} {text}"
                if answer.status < 500:
                    raise _FileError("ClientError", reason)
        raise _FileError("AlgorithmError", reason)

    def _await_health(self, instance: Instance) -> None:
        """Waits for a server that is being restarted."""
        deadline = time.monotonic() + _HEALTH_CHECK_TIMEOUT
        while not instance.healthy and time.monotonic() < deadline:
            if self._stop.wait(_POLL_INTERVAL):
                raise StoppedError
        if self._stop.is_set():
            raise StoppedError

    def _target(self, key: str) -> tuple[Location, str | None]:
        target = self._request["TransformOutput"]
        name = f"{relative_name(key, self._prefix.key)}.out"
        place = Location.parse(f"{target['S3OutputPath'].rstrip('/')}/{name}")
        return place, target.get("KmsKeyId") or None


def _await_upload(uploading: Future[None]) -> None:
    try:
        uploading.result()
    except (S3UploadFailedError, ClientError) as error:
        raise RunFailedError(f"ClientError: Data upload failed: {error}") from error
