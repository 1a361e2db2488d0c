"""JSON over one persistent HTTP connection, with few retries."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

from faq_search.errors import FaqSearchError
from faq_search.signing import Signer

_WORTH_ANOTHER_TRY: Final = (429, 503)
_LONGEST_PAUSE_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A success: its JSON object, and `Server-Timing` in milliseconds."""

    answer: Mapping[str, Any]
    timing: Mapping[str, float]


class Transport:
    """Requests to the API at `url`. Not for use by several threads at once.

    Retries 429 and 503 up to `retries` times (not for endpoints that are switched off), and
    anything else only once, when an idle connection turns out to be closed.
    """

    def __init__(
        self,
        url: str,
        signer: Signer,
        timeout: float,
        retries: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url is {url!r}; it must start with https:// or http://")
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._signer = signer
        self._retries = retries
        self._sleep = sleep

    def close(self) -> None:
        """Closes the connection; a later request opens it again."""
        self._connection.close()

    def request(self, method: str, path: str, body: object = None) -> Reply:
        """The API's answer; FaqSearchError for anything but a success."""
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        for further in range(self._retries, -1, -1):
            response, content = self._exchange(method, self._prefix + path, data)
            answer = _json_object(content)
            if not further or not _is_worth_another_try(response.status, answer):
                break
            self._sleep(self._pause(self._retries - further, response))
        if 200 <= response.status < 300 and answer is not None:
            return Reply(answer, _timing(response.getheader("Server-Timing", "")))
        raise _error(response.status, answer)

    def _exchange(self, method: str, path: str, data: bytes | None) -> tuple[HTTPResponse, bytes]:
        headers = {"Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        headers |= self._signer(method, self._base + path, data)
        was_open = self._connection.sock is not None
        try:
            return self._send(method, path, data, headers)
        except (ConnectionError, HTTPException) as error:
            self._connection.close()
            if not was_open:
                raise _unreachable(self._base, error) from error
        except OSError as error:
            self._connection.close()
            raise _unreachable(self._base, error) from error
        try:
            return self._send(method, path, data, headers)
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise _unreachable(self._base, error) from error

    def _send(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[HTTPResponse, bytes]:
        self._connection.request(method, path, body=data, headers=headers)
        response = self._connection.getresponse()
        return response, response.read()

    @staticmethod
    def _pause(tries: int, response: HTTPResponse) -> float:
        # Full jitter: callers that were refused together do not come back together.
        longest = min(_LONGEST_PAUSE_SECONDS, 0.5 * 2**tries)
        asked = response.getheader("Retry-After", "")
        least = min(float(asked), _LONGEST_PAUSE_SECONDS) if asked.isdecimal() else 0.0
        return least + random.uniform(0, longest)  # noqa: S311 - nothing secret about it


def _is_worth_another_try(status: int, answer: Mapping[str, Any] | None) -> bool:
    # Endpoints that are switched off stay off longer than a caller would wait.
    return status in _WORTH_ANOTHER_TRY and (answer or {}).get("code") != "serving_off"


def _json_object(content: bytes) -> Mapping[str, Any] | None:
    try:
        answer = json.loads(content)
    except ValueError:
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


def _unreachable(base: str, error: Exception) -> FaqSearchError:
    return FaqSearchError("unreachable", f"{base} did not answer: {error or type(error).__name__}.")
