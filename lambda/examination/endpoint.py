"""Requests to one endpoint, repeated while it fails in ways that pass."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

_MOMENTARY = {
    "ThrottlingException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ModelNotReadyException",
    "InternalFailure",
    "InternalServerException",
}

logger = logging.getLogger(__name__)


class EndpointError(Exception):
    """The endpoint gave no usable answer; the message says why."""


class Endpoint:
    """One endpoint.

    Args:
        runtime: a client that does not retry by itself.
        name: the endpoint's.
        give_up_at: time.monotonic() after which nothing is repeated.
        pauses: seconds before each repetition.
    """

    def __init__(
        self, runtime: SageMakerRuntimeClient, name: str, give_up_at: float, pauses: Sequence[float]
    ) -> None:
        self.name = name
        self.give_up_at = give_up_at
        self._runtime = runtime
        self._pauses = pauses

    def ask(self, request: Mapping[str, object]) -> Any:
        """Sends one request and returns the parsed answer.

        Raises:
            EndpointError: no answer, or one that is not JSON.
        """
        body = json.dumps(request)
        pauses = iter(self._pauses)
        while True:
            try:
                response = self._runtime.invoke_endpoint(
                    EndpointName=self.name,
                    ContentType="application/json",
                    Accept="application/json",
                    Body=body,
                )
                return json.loads(response["Body"].read())
            except (ClientError, ConnectionError, HTTPClientError) as error:
                pause = next(pauses, None)
                if (
                    pause is None
                    or not _is_momentary(error)
                    or time.monotonic() + pause > self.give_up_at
                ):
                    raise EndpointError(f"no answer: {_message(error)}") from error
                logger.warning("Asking endpoint %s again in %s s: %s", self.name, pause, error)
                time.sleep(pause)
            except ValueError as error:
                raise EndpointError(f"its answer is not JSON: {error}") from error


def _is_momentary(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return True
    response: Mapping[str, Any] = error.response
    if response["Error"]["Code"] == "ModelError":
        # SageMaker reports a request that the server did not answer in time as status 0.
        status = response.get("OriginalStatusCode", 500)
        return bool(status == 0 or status >= 500)
    return response["Error"]["Code"] in _MOMENTARY


def _message(error: Exception) -> str:
    """The model's own message where there is one; the server wraps it in JSON."""
    response: Mapping[str, Any] = error.response if isinstance(error, ClientError) else {}
    original = response.get("OriginalMessage")
    if not original:
        return str(error)
    try:
        return str(json.loads(original)["message"])
    except (KeyError, TypeError, ValueError):
        return str(original)
