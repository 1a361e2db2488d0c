"""A batch: a file of JSON lines that is embedded by batch transform."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from faq_search import calls
from faq_search.errors import BatchError, FaqSearchError, InputError
from faq_search.results import BatchState
from faq_search.transfer import MAX_UPLOAD_BYTES, OnBytes, fetch, upload
from faq_search.transport import Transport

OnState = Callable[[BatchState], None]

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
# A report follows the end of a broken batch within seconds, and is gone when it has expired.
_ASKED_FOR_REPORT: Final = 5


def asked(
    source: str | Path, *, merge: bool, instance_count: int | None, client_token: str | None
) -> dict[str, object]:
    """The body that starts a batch. Raises InputError for a file that cannot be uploaded."""
    # Always a token: repeating a request after a lost answer starts no second batch.
    body: dict[str, object] = {"client_token": client_token or uuid.uuid4().hex, "merge": merge}
    if instance_count is not None:
        body["instance_count"] = instance_count
    if str(source).startswith("s3://"):
        return {**body, "s3_uri": str(source)}
    size = Path(source).stat().st_size
    if size == 0:
        raise InputError(f"{source} is empty.")
    if size > MAX_UPLOAD_BYTES:
        raise InputError(
            f"{source} has {size:,} bytes; S3 takes {MAX_UPLOAD_BYTES:,} in one upload. Copy it"
            " below the batch bucket's input/ with `aws s3 cp`, and give its S3 URI."
        )
    return {**body, "upload": True}


def start_batch(
    transport: Transport,
    source: str | Path,
    *,
    merge: bool,
    instance_count: int | None,
    client_token: str | None,
    on_bytes: OnBytes | None,
) -> Batch:
    """See FaqSearch.batch."""
    body = asked(source, merge=merge, instance_count=instance_count, client_token=client_token)
    answer = transport.send(calls.new_batch(body))
    if target := answer.get("upload"):  # else S3 has it, or an earlier request has uploaded it
        upload(transport.client, target["url"], target["headers"], Path(source), on_bytes)
    return Batch(transport, answer["batch_id"])


class Batch:
    """A batch of the deployed API; made by `FaqSearch.batch` and `FaqSearch.find_batch`.

    Every method raises FaqSearchError when it gets no answer.
    """

    def __init__(self, transport: Transport, batch_id: str) -> None:
        self._transport = transport
        self.batch_id = batch_id

    def state(self) -> BatchState:
        """Its state now."""
        return self._transport.send(calls.batch_state(self.batch_id))

    def stop(self) -> BatchState:
        """Stops it. What was embedded until then is kept; it has ended once `state` says so."""
        return self._transport.send(calls.batch_state(self.batch_id, stop=True))

    def wait(self, timeout: float | None = None, on_state: OnState | None = None) -> BatchState:
        """Waits until it has ended, polling every second at first and every 30 seconds later.

        Calls `on_state` with every answer. Raises BatchError for a batch that failed or was
        stopped, and FaqSearchError (wait_timed_out) after `timeout` seconds (default: never); the
        batch continues then.
        """
        waiting = Waiting(timeout, on_state)
        while (pause := waiting.pause_after(state := self.state())) is not None:
            time.sleep(pause)
        return state

    def download(self, to: str | Path, on_bytes: OnBytes | None = None) -> Path:
        """Writes the embeddings to one file of JSON lines, in the input's order, merged or not.

        Raises FaqSearchError: no_results while there are none, too_many_files where the API gives
        no URL for some (`merge` avoids that), download_failed.
        """
        return self._fetch(embeddings_of(self.state()), to, on_bytes)

    def download_rejects(self, to: str | Path, on_bytes: OnBytes | None = None) -> Path | None:
        """Writes the refused lines with their reasons; None if there are none."""
        parts = rejects_of(self.state())
        return self._fetch(parts, to, on_bytes) if parts else None

    def _fetch(self, parts: tuple[str, ...], to: str | Path, on_bytes: OnBytes | None) -> Path:
        return fetch(self._transport.client, parts, Path(to), lambda: self.state().urls, on_bytes)


class Waiting:
    """When to ask about a batch again; see Batch.wait."""

    def __init__(self, timeout: float | None, on_state: OnState | None) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._on_state = on_state
        self._pause = _FIRST_PAUSE_SECONDS
        self._without_report = 0

    def pause_after(self, state: BatchState) -> float | None:
        """Seconds until it should be asked again; None once it has completed."""
        if self._on_state:
            self._on_state(state)
        self._without_report += state.ended
        if state.ended and (state.report or self._without_report == _ASKED_FOR_REPORT):
            if state.status != "completed":
                raise BatchError(state)
            return None
        pause = self._pause
        if self._deadline is not None and time.monotonic() + pause > self._deadline:
            raise FaqSearchError(
                "wait_timed_out", f"Batch {state.batch_id} is still {state.status}."
            )
        if not state.ended:
            self._pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        return pause


def embeddings_of(state: BatchState) -> tuple[str, ...]:
    """The objects with a batch's embeddings. Raises FaqSearchError (no_results) without any."""
    if state.report is None:
        raise FaqSearchError("no_results", f"Batch {state.batch_id} is {state.status}.")
    parts = (state.report.merged,) if state.report.merged else state.report.output
    if not parts:
        raise FaqSearchError("no_results", f"Batch {state.batch_id} has no embeddings.")
    return parts


def rejects_of(state: BatchState) -> tuple[str, ...]:
    """The objects with the lines that a batch refused. Raises FaqSearchError before it ended."""
    if state.report is None:
        raise FaqSearchError("no_results", f"Batch {state.batch_id} is {state.status}.")
    return state.report.rejects
