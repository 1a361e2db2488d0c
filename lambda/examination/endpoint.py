"""Requests to one endpoint, for the functions that examine whether it answers right."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence

from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

_PASSING = {
    "ThrottlingException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ModelNotReadyException",
    "InternalFailure",
    "InternalServerException",
}

_log = logging.getLogger(__name__)


class EndpointError(Exception):
    """The endpoint gave no answer; the message is the reason, in words."""


class Endpoint:
    """One endpoint.

    Args:
        runtime: a boto3 client for sagemaker-runtime, without retries of its own.
        name: the endpoint's.
        give_up_at: time.monotonic() after which no request starts again.
        pauses: seconds between a request and its repetitions, while it meets trouble that may
            pass; one repetition for each.
    """

    def __init__(
        self, runtime: BaseClient, name: str, give_up_at: float, pauses: Sequence[float]
    ) -> None:
        self.name = name
        self.give_up_at = give_up_at
        self._runtime = runtime
        self._pauses = tuple(pauses)

    def ask(self, request: Mapping[str, object]) -> object:
        """Send one request and return the parsed answer; trouble that passes is waited out.

        Raises:
            EndpointError: an error that stays, or an answer that is not JSON.
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
                    or not _may_pass(error)
                    or time.monotonic() + pause > self.give_up_at
                ):
                    raise EndpointError(_words(error)) from error
                _log.warning("Endpoint %s, again in %s s: %s", self.name, pause, error)
                time.sleep(pause)
            except ValueError as error:
                raise EndpointError(f"its answer is not JSON: {error}") from error


def _may_pass(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return True
    if error.response["Error"]["Code"] == "ModelError":
        status: int = error.response.get("OriginalStatusCode", 500)
        return status >= 500
    return error.response["Error"]["Code"] in _PASSING


def _words(error: Exception) -> str:
    """The model's own message where there is one; the server wraps it in JSON."""
    original = error.response.get("OriginalMessage") if isinstance(error, ClientError) else None
    if not original:
        return str(error)
    try:
        return str(json.loads(original)["message"])
    except (KeyError, TypeError, ValueError):
        return str(original)
