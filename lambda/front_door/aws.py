"""The AWS operations that requests need, each within a given time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from contract.vector_index import MAX_TOP_K, VectorIndex
from front_door.index_scores import Neighbour, read_neighbours
from rest.snapshots import session_without_credentials

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3vectors import S3VectorsClient
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from types_boto3_ssm import SSMClient

T = TypeVar("T")

# What the model server sends at most.
MAX_ANSWER_BYTES: Final = 6_553_500
# How a call fails: an error, no answer, not in time, or a malformed answer.
AWS_ERRORS: Final = (ClientError, BotoCoreError, TimeoutError, ValueError)

_PARAMETER_SECONDS: Final = 2
_LOG_SECONDS: Final = 0.5
# An endpoint gives up so much earlier, so that its word still arrives: one that says nothing counts
# as hung.
_RETURN_SECONDS: Final = 0.5
# An idle connection that the other side closed fails at once; later, a request was lost.
_STALE_SECONDS: Final = 0.5
_CONFIG: Final = Config(
    connect_timeout=1,
    # More than a request may take; Aws bounds the calls.
    read_timeout=30,
    retries={"total_max_attempts": 1},  # the next endpoint is the better retry
    tcp_keepalive=True,
    # Building the default one, with a dozen details, takes a fifth of a call.
    user_agent="faq-search",
)


class Aws:
    """Clients that keep their connections open. Several threads may call at once.

    botocore's timeouts belong to a client and limit silence, not the whole of a call, which a
    dripping answer can prolong for ever. So each call runs in a thread, and the caller waits for it
    no longer than the call may take, whatever it is doing: name look-up, TLS, headers, an error's
    body. An abandoned thread ends with its answer, at the latest when SageMaker ends the request,
    after 60 s.

    botocore is the one that Lambda's runtime brings: it is patched by AWS and needs no space in
    the layer, and nothing here depends on its version.
    """

    def __init__(self) -> None:
        self._session = session_without_credentials()
        self._runtime = cast(
            "SageMakerRuntimeClient",
            self._session.create_client("sagemaker-runtime", config=_CONFIG),
        )
        # More than can be abandoned in 60 s, since an attempt takes a second at least.
        self._threads = ThreadPoolExecutor(64, thread_name_prefix="aws")

    @cached_property
    def _ssm(self) -> SSMClient:
        """Loading its service model takes a while, and most requests do not need it."""
        return cast("SSMClient", self._session.create_client("ssm", config=_CONFIG))

    @cached_property
    def _logs(self) -> CloudWatchLogsClient:
        """Only stages that keep unanswered questions need it."""
        return cast("CloudWatchLogsClient", self._session.create_client("logs", config=_CONFIG))

    @cached_property
    def _vectors(self) -> S3VectorsClient:
        """Only stages whose corpus is in an index need it. In botocore since 1.39.5."""
        return cast("S3VectorsClient", self._session.create_client("s3vectors", config=_CONFIG))

    def load(self) -> None:
        """Makes the clients that most requests, but not all, go without."""
        _ = self._ssm

    def invoke(
        self, endpoint_name: str, payload: bytes, seconds: float, *, large: bool = False
    ) -> bytes:
        """The endpoint's answer to a JSON `payload`; one of AWS_ERRORS if there is none.

        The content type says until when its work is of use, and whether it is `large`; the
        container's `seconds_left` and `is_large` read it.
        """
        useful = seconds - min(_RETURN_SECONDS, seconds / 10)
        content_type = f"application/json; deadline={time.time() + useful:.3f}"
        if large:
            content_type += "; large=true"
        return self._within(seconds, lambda: self._invoke(endpoint_name, payload, content_type))

    def parameter(self, name: str) -> str:
        """The value of an SSM parameter; one of AWS_ERRORS if it cannot be read."""
        ssm = self._ssm  # made here, where its making is not part of the call's time
        answer = self._within(_PARAMETER_SECONDS, lambda: ssm.get_parameter(Name=name))
        try:
            return str(answer["Parameter"]["Value"])
        except KeyError as error:
            raise ValueError("The answer has no value.") from error

    def load_vectors(self) -> None:
        """Makes the client for `query_vectors`, so that no request has to wait for it."""
        _ = self._vectors

    def query_vectors(
        self,
        index: VectorIndex,
        vector: Sequence[float],
        filter_: Mapping[str, object] | None,
        seconds: float,
    ) -> list[Neighbour]:
        """The hundred nearest vectors with their metadata; one of AWS_ERRORS if it fails."""
        vectors = self._vectors
        request: dict[str, Any] = {
            "vectorBucketName": index.vector_bucket,
            "indexName": index.index_id,
            "queryVector": {"float32": vector},
            "topK": MAX_TOP_K,
            "returnMetadata": True,
            "returnDistance": True,
        }
        if filter_ is not None:
            request["filter"] = filter_

        def query() -> list[Neighbour]:
            found: list[Any] = []
            while True:
                answer = vectors.query_vectors(**request)
                found += answer["vectors"]
                if not answer.get("nextToken"):
                    return read_neighbours(found)
                request["nextToken"] = answer["nextToken"]

        return self._within(seconds, query)

    def load_logs(self) -> None:
        """Makes the client for `put_log_lines`, so that no request has to wait for it."""
        _ = self._logs

    def put_log_lines(self, group: str, stream: str, at: int, lines: Sequence[str]) -> None:
        """Writes lines of one time, in milliseconds; one of AWS_ERRORS if it cannot be done.

        A stream that does not exist is created.
        """
        logs = self._logs

        def put() -> None:
            logs.put_log_events(
                logGroupName=group,
                logStreamName=stream,
                logEvents=[{"timestamp": at, "message": line} for line in lines],
            )

        def put_or_create() -> None:
            try:
                put()
            except logs.exceptions.ResourceNotFoundException:
                with suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_stream(logGroupName=group, logStreamName=stream)
                put()

        self._within(_LOG_SECONDS, put_or_create)

    def _within(self, seconds: float, call: Callable[[], T]) -> T:
        return self._threads.submit(_without_stale_connection, call).result(seconds)

    def _invoke(self, endpoint_name: str, payload: bytes, content_type: str) -> bytes:
        body = self._runtime.invoke_endpoint(
            EndpointName=endpoint_name,
            ContentType=content_type,
            Accept="application/json",
            Body=payload,
        )["Body"]
        content: bytes = body.read(MAX_ANSWER_BYTES)
        if body.read(1):  # at the end this also checks that the answer is complete
            body.close()
            raise ValueError(f"The answer has more than {MAX_ANSWER_BYTES} bytes.")
        return content


def _without_stale_connection(call: Callable[[], T]) -> T:
    """Never retries, except once when an idle connection turns out to be closed."""
    began = time.monotonic()
    try:
        try:
            return call()
        except ConnectionClosedError:
            if time.monotonic() - began > _STALE_SECONDS:
                raise
            return call()
    except RecursionError as error:  # an error's JSON, nested deeply
        raise ValueError("The answer is nested too deeply.") from error
