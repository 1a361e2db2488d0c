"""JSON over HTTP, with few retries; the same for the client and the asynchronous one."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import httpx

from faq_search import __version__
from faq_search.calls import Call, Reply
from faq_search.errors import FaqSearchError, InputError
from faq_search.signing import Signer

T = TypeVar("T")
# The error that leads to another try, and the seconds until then.
OnRetry = Callable[[FaqSearchError, float], None]

RETRIED: Final = (429, 502, 503, 504)
_LONGEST_PAUSE_SECONDS: Final = 8.0
_LONGEST_RETRY_AFTER_SECONDS: Final = 60.0
S3_TIMEOUT_SECONDS: Final = 60.0


class _Unsigned(logging.Filter):
    """Leaves signatures out of the URLs in httpx's log.

    Whoever has a signed URL may read or write its file.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(self._without_signature, record.args))
        return True

    @staticmethod
    def _without_signature(value: object) -> object:
        if isinstance(value, httpx.URL) and b"signature=" in value.query.lower():
            return value.copy_with(query=b"signed")
        return value


logging.getLogger("httpx").addFilter(_Unsigned())


@dataclass(frozen=True, slots=True)
class Options:
    """How requests are sent; see FaqSearch."""

    url: str
    signer: Signer
    timeout: float = 30.0
    retries: int = 3
    on_retry: OnRetry | None = None

    def __post_init__(self) -> None:
        try:
            parsed = httpx.URL(self.url)
        except (httpx.InvalidURL, TypeError) as error:
            raise InputError(f"The URL {self.url!r} cannot be used: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InputError(f"The URL is {self.url!r}; it must start with https:// or http://")

    def request(self, call: Call[Any]) -> httpx.Request:
        """The request, with proof of who asks."""
        url = f"{self.url.rstrip('/')}{call.path}"
        body = None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode()
        headers = {"Accept": "application/json", "User-Agent": f"faq-search/{__version__}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        headers |= self.signer(call.method, url, body)
        return httpx.Request(
            call.method,
            url,
            content=body,
            headers=headers,
            extensions={"timeout": httpx.Timeout(self.timeout).as_dict()},
        )


class Transport:
    """Requests to the API, one after the other; several threads may share it."""

    def __init__(
        self,
        options: Options,
        http: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._sleep = sleep
        self.client = httpx.Client(transport=http, timeout=S3_TIMEOUT_SECONDS)
        """For S3, too."""

    def send(self, call: Call[T]) -> T:
        """The API's answer, read; FaqSearchError for anything but a success."""
        tries = _Tries(self._options, call)
        while True:
            try:
                outcome: httpx.Response | httpx.RequestError = self.client.send(
                    self._options.request(call)
                )
            except httpx.RequestError as error:
                outcome = error
            settled = tries.settle(outcome)
            if isinstance(settled, Reply):
                return call.read(settled)
            self._sleep(settled)


class AsyncTransport:
    """The same without blocking, for asyncio and trio."""

    def __init__(
        self, options: Options, http: httpx.AsyncBaseTransport | None, sleep: _AsyncSleep
    ) -> None:
        self._options = options
        self._sleep = sleep
        self.client = httpx.AsyncClient(transport=http)

    async def send(self, call: Call[T]) -> T:
        """See Transport.send."""
        tries = _Tries(self._options, call)
        while True:
            try:
                outcome: httpx.Response | httpx.RequestError = await self.client.send(
                    self._options.request(call)
                )
            except httpx.RequestError as error:
                outcome = error
            settled = tries.settle(outcome)
            if isinstance(settled, Reply):
                return call.read(settled)
            await self._sleep(settled)


_AsyncSleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class _Tries:
    """The tries of one call.

    Repeats what may pass (429, 502, 503, 504) up to `retries` times, and once at once what met a
    connection that was being closed. Every request may be repeated: those that start batches have
    a token. What cannot be reached, or does not answer in time, is not asked again.
    """

    options: Options
    call: Call[Any]
    done: int = 0
    dropped: bool = field(default=False)

    def settle(self, outcome: httpx.Response | httpx.RequestError) -> Reply | float:
        """The reply, or the seconds until the next try. Raises FaqSearchError without either."""
        if isinstance(outcome, httpx.RequestError):
            if isinstance(outcome, _DROPPED) and not self.dropped:
                self.dropped = True
                return 0.0
            raise _unanswered(self.options, outcome) from outcome
        answer = _json_object(outcome)
        if answer is not None and (outcome.is_success or self.call.answers(answer)):
            return Reply(answer, _timing(outcome.headers.get("Server-Timing", "")))
        error = _error(outcome.status_code, answer)
        pause = self._pause(outcome, error)
        if pause is None:
            raise error
        self.done += 1
        if self.options.on_retry:
            self.options.on_retry(error, pause)
        return pause

    def _pause(self, response: httpx.Response, error: FaqSearchError) -> float | None:
        # Endpoints that are switched off stay off longer than a caller would wait.
        passes = response.status_code in RETRIED and error.code != "serving_off"
        least = _retry_after(response.headers.get("Retry-After", ""))
        if not passes or self.done >= self.options.retries or least > _LONGEST_RETRY_AFTER_SECONDS:
            return None
        # Full jitter: callers that were refused together do not come back together.
        longest = min(_LONGEST_PAUSE_SECONDS, 0.5 * 2**self.done)
        return least + random.uniform(0, longest)  # noqa: S311 - nothing secret about it


_DROPPED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


def _retry_after(header: str) -> float:
    """Seconds that `Retry-After` asks for, as a number or as a date; 0 if it asks for none."""
    if header.isdecimal():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _json_object(response: httpx.Response) -> Mapping[str, Any] | None:
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _timing(header: str) -> dict[str, float]:
    timing = {}
    for entry in header.split(","):
        name, _, duration = entry.strip().partition(";dur=")
        if duration:
            timing[name] = float(duration)
    return timing


def _error(status: int, answer: Mapping[str, Any] | None) -> FaqSearchError:
    if answer is None or "code" not in answer:
        return FaqSearchError(
            "unreadable", f"HTTP {status} without the API's JSON; is the URL right?", status
        )
    return FaqSearchError(str(answer["code"]), str(answer.get("message", "")), status, answer)


def _unanswered(options: Options, error: httpx.RequestError) -> FaqSearchError:
    reason = f"{error}".strip() or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return FaqSearchError("unreachable", f"{options.url} cannot be reached: {reason}.")
    if isinstance(error, httpx.TimeoutException):
        within = f"{options.timeout:g} seconds"
        return FaqSearchError("no_answer", f"{options.url} did not answer within {within}.")
    return FaqSearchError("no_answer", f"{options.url} did not answer: {reason}.")
