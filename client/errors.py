"""The one exception of the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class FaqSearchError(Exception):
    """The API did not do what was asked.

    Attributes:
        code: the API's stable code (`invalid_request`, `throttled`, `time_out` …), or one of the
            client's own: `unreachable` (no connection), `unreadable` (an answer that is not the
            API's JSON).
        message: a sentence.
        status: the HTTP status; None without an answer.
        request_id: to look the request up in the logs; None without an answer.
        field: the faulty part of the request (`queries.3`), if it is known.
        answer: the whole JSON object.
    """

    def __init__(
        self, code: str, message: str, status: int | None = None, answer: Mapping[str, Any] = {}
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.answer = answer
        self.request_id: str | None = answer.get("request_id")
        self.field: str | None = answer.get("field")
