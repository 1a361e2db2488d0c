"""The client's exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faq_search.results import BatchState


class InputError(ValueError):
    """Something given to the client cannot be used; nothing was sent. The message says why."""


class FaqSearchError(Exception):
    """The API refused or could not be reached.

    Attributes:
        code: the API's stable code (`invalid_request`, `throttled`, `time_out` …), or one of the
            client's own: `unreachable` (no connection), `no_answer` (a connection, but nothing
            in time), `unreadable` (an answer that is not the API's JSON); about batches
            `upload_failed`, `download_failed`, `no_results`, `too_many_files`,
            `wait_timed_out`, and those of BatchError.
        message: a sentence.
        status: the HTTP status; None without an answer.
        request_id: finds the request in the logs; None without an answer.
        field: the wrong part of the request (`queries.3`), if it is known.
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


class BatchError(FaqSearchError):
    """A batch did not complete; `code` is `batch_failed` or `batch_stopped`.

    Attributes:
        state: with the report, if there is one. What it names can still be downloaded.
    """

    def __init__(self, state: BatchState) -> None:
        reason = state.report.reason if state.report else None
        super().__init__(
            f"batch_{state.status}",
            f"Batch {state.batch_id} {_ENDED[state.status]}. {reason or ''}".rstrip(),
            answer={"request_id": state.request_id},
        )
        self.state = state


_ENDED = {"failed": "failed", "stopped": "was stopped"}
