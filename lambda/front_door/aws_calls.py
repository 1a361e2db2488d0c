"""The two calls to AWS that this function makes, with what the standard library has.

Importing botocore and making one client would take longer than everything else that a cold start
of this function does, and each request would wait for its layers.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from select import POLLIN, poll
from socket import SO_KEEPALIVE, SOL_SOCKET, socket
from typing import Any, Final
from urllib.parse import quote, urlsplit

from front_door.signature import Credentials, Signer

_CONNECT_SECONDS: Final = 1
_PARAMETER_SECONDS: Final = 2
# A connection that was kept open too long fails at once; one that fails later had a request.
_STALE_SECONDS: Final = 0.5
# Beginnings of regions outside the partition `aws` (and `aws-us-gov`, named alike).
_DNS_SUFFIXES: Final = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}


class AwsError(Exception):
    """A call that gave no result."""


class RefusedError(AwsError):
    """The service's own answer that it will not. `fields` are the members of that answer."""

    def __init__(self, code: str, status: int, fields: Mapping[str, Any]) -> None:
        self.code = code
        self.status = status
        self.fields = fields
        self.message = str(fields.get("message") or fields.get("Message") or "")
        super().__init__(f"{code} ({status}): {self.message}")


class NoAnswerError(AwsError):
    """No answer came: no connection, or one that broke off."""


class TimedOutError(NoAnswerError):
    """No answer came in time."""


class Service:
    """One AWS service in one region, over connections that are kept open.

    Several threads may call it at once. Nothing is tried again, but for a connection that turns
    out to have been closed while nobody used it.

    Args:
        host: what stands before the region in the service's host name.
        signing_name: in the scope of its signatures.
        id_: its name in AWS_ENDPOINT_URL_<ID>, which may lead elsewhere, as AWS_ENDPOINT_URL may.
        variables: the region and the credentials, as Lambda sets them.
    """

    def __init__(
        self, host: str, signing_name: str, id_: str, variables: Mapping[str, str]
    ) -> None:
        region = variables.get("AWS_REGION") or variables["AWS_DEFAULT_REGION"]
        url = urlsplit(
            variables.get(f"AWS_ENDPOINT_URL_{id_}")
            or variables.get("AWS_ENDPOINT_URL")
            or f"https://{host}.{region}.{_dns_suffix(region)}"
        )
        self.host = url.netloc
        self._signer = Signer(signing_name, region, Credentials.read(variables))
        self._encrypted = url.scheme == "https"
        self._idle: list[HTTPConnection] = []

    def post(self, path: str, headers: Mapping[str, str], body: bytes, seconds: float) -> bytes:
        """The body of the answer.

        `path` is quoted and the names of `headers` are lower case. The service may be silent for
        `seconds`. Raises RefusedError, TimedOutError or NoAnswerError.
        """
        began = time.monotonic()
        try:
            try:
                return self._post(path, headers, body, seconds)
            except (ConnectionError, ssl.SSLEOFError):
                if time.monotonic() - began > _STALE_SECONDS:
                    raise
                self._idle.clear()
                return self._post(path, headers, body, seconds)
        except TimeoutError as error:
            raise TimedOutError(str(error)) from error
        except (OSError, HTTPException) as error:
            raise NoAnswerError(str(error)) from error

    def _post(self, path: str, headers: Mapping[str, str], body: bytes, seconds: float) -> bytes:
        signed = self._signer.signed(self.host, path, headers, body, datetime.now(UTC))
        connection = self._connection(min(_CONNECT_SECONDS, seconds))
        try:
            connection.sock.settimeout(seconds)
            connection.request("POST", path, body, signed)
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        if not response.will_close:
            self._idle.append(connection)
        if response.status >= 300:
            raise _refused(response, content)
        return content

    def _connection(self, seconds: float) -> HTTPConnection:
        while self._idle:
            with suppress(IndexError):  # another thread took the last one
                connection = self._idle.pop()  # the freshest
                if not _closed(connection.sock):
                    return connection
                connection.close()
        if self._encrypted:
            connection = HTTPSConnection(self.host, timeout=seconds, context=_tls())
        else:
            connection = HTTPConnection(self.host, timeout=seconds)
        try:
            connection.connect()
        except ConnectionError as error:  # nobody is there: not a connection that went stale
            raise NoAnswerError(str(error)) from error
        connection.sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        return connection


class SageMakerRuntime:
    """InvokeEndpoint."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._service = Service("runtime.sagemaker", "sagemaker", "SAGEMAKER_RUNTIME", variables)

    def invoke(self, endpoint_name: str, payload: bytes, seconds: float) -> bytes:
        """What the endpoint answers to a JSON `payload`; AwsError if it does not."""
        headers = {"content-type": "application/json", "accept": "application/json"}
        path = f"/endpoints/{quote(endpoint_name, safe='')}/invocations"
        return self._service.post(path, headers, payload, seconds)


class Parameters:
    """SSM's GetParameter."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._service = Service("ssm", "ssm", "SSM", variables)

    def value(self, name: str) -> str:
        """The value of the parameter `name`; AwsError if it cannot be read."""
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": "AmazonSSM.GetParameter",
        }
        body = json.dumps({"Name": name}).encode()
        answer = self._service.post("/", headers, body, _PARAMETER_SECONDS)
        try:
            return str(json.loads(answer)["Parameter"]["Value"])
        except (ValueError, KeyError, TypeError) as error:
            raise NoAnswerError("SSM's answer cannot be read") from error


@cache
def _tls() -> ssl.SSLContext:
    """Checks certificates and host names, by the system's authorities.

    Made for the first connection: reading the authorities takes as long as a tenth of the imports.
    """
    return ssl.create_default_context()


def _closed(idle: socket) -> bool:
    """Whether the other side has closed a connection on which nothing was asked."""
    waiting = poll()
    waiting.register(idle, POLLIN)
    return bool(waiting.poll(0))


def _dns_suffix(region: str) -> str:
    for beginning, suffix in _DNS_SUFFIXES.items():
        if region.startswith(beginning):
            return suffix
    return "amazonaws.com"


def _refused(response: HTTPResponse, content: bytes) -> RefusedError:
    try:
        fields = json.loads(content)
    except ValueError:
        fields = {}
    if not isinstance(fields, dict):
        fields = {}
    told = response.headers.get("x-amzn-ErrorType") or fields.get("__type") or fields.get("code")
    # "namespace#Code:documentation", of which services send one part or the other.
    code = str(told or response.status).split(":")[0].split("#")[-1]
    return RefusedError(code, response.status, fields)
