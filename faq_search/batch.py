"""A batch: a file of JSON lines that is embedded by batch transform."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, Final

from faq_search.errors import BatchError, FaqSearchError
from faq_search.results import BatchState, Report
from faq_search.transfer import MAX_UPLOAD_BYTES, OnBytes, download, upload
from faq_search.transport import Transport

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
# A report follows the end of a broken batch within seconds, and is gone when it has expired.
_ASKED_FOR_REPORT: Final = 5
_URLS_FRESH_SECONDS: Final = 1800.0  # they last for an hour


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
    # Always a token: repeating a request after a lost answer starts no second batch.
    asked: dict[str, object] = {"client_token": client_token or uuid.uuid4().hex, "merge": merge}
    if instance_count is not None:
        asked["instance_count"] = instance_count
    if str(source).startswith("s3://"):
        answer = transport.request("POST", "/batch", {**asked, "s3_uri": str(source)}).answer
        return Batch(transport, answer["batch_id"])
    file = Path(source)
    size = file.stat().st_size
    if size == 0:
        raise ValueError(f"{file} is empty.")
    if size > MAX_UPLOAD_BYTES:
        raise ValueError(
            f"{file} has {size:,} bytes; S3 takes {MAX_UPLOAD_BYTES:,} in one upload. Copy it"
            " below the batch bucket's input/ with `aws s3 cp`, and give its S3 URI."
        )
    answer = transport.request("POST", "/batch", {**asked, "upload": True}).answer
    if "upload" in answer:  # else an earlier request with this token has uploaded it
        target = answer["upload"]
        upload(target["url"], target["headers"], file, on_bytes or _ignore_progress)
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
        return BatchState.from_json(self._transport.request("GET", self._path).answer)

    def stop(self) -> BatchState:
        """Stops it. What was embedded until then is kept; it has ended once `state` says so."""
        return BatchState.from_json(self._transport.request("DELETE", self._path).answer)

    def wait(
        self,
        timeout: float | None = None,
        on_state: Callable[[BatchState], None] | None = None,
    ) -> BatchState:
        """Waits until it has ended, polling every second at first and every 30 seconds later.

        Calls `on_state` with every answer. Raises BatchError for a batch that failed or was
        stopped, and FaqSearchError (wait_timed_out) after `timeout` seconds (default: never); the
        batch continues then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause, without_report = _FIRST_PAUSE_SECONDS, 0
        while True:
            state = self.state()
            if on_state:
                on_state(state)
            without_report += state.ended
            if state.ended and (state.report or without_report == _ASKED_FOR_REPORT):
                break
            if deadline is not None and time.monotonic() + pause > deadline:
                raise FaqSearchError(
                    "wait_timed_out", f"Batch {self.batch_id} is still {state.status}."
                )
            time.sleep(pause)
            if not state.ended:
                pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        if state.status != "completed":
            raise BatchError(state)
        return state

    def download(self, to: str | Path, on_bytes: OnBytes | None = None) -> Path:
        """Writes the embeddings to one file of JSON lines, in the input's order, merged or not.

        Raises FaqSearchError: no_results while there are none, too_many_files where the API gives
        no URL for some (`merge` avoids that), download_failed.
        """
        report = self._report()
        parts = [report.merged] if report.merged else report.output
        if not parts:
            raise FaqSearchError("no_results", f"Batch {self.batch_id} has no embeddings.")
        return self._fetch(parts, Path(to), on_bytes)

    def download_rejects(self, to: str | Path, on_bytes: OnBytes | None = None) -> Path | None:
        """Writes the refused lines with their reasons; None if there are none."""
        parts = self._report().rejects
        return self._fetch(parts, Path(to), on_bytes) if parts else None

    @property
    def _path(self) -> str:
        return f"/batch/{self.batch_id}"

    def _report(self) -> Report:
        state = self.state()
        if state.report is None:
            raise FaqSearchError("no_results", f"Batch {self.batch_id} is {state.status}.")
        return state.report

    def _fetch(self, parts: Sequence[str], to: Path, on_bytes: OnBytes | None) -> Path:
        """Downloads the parts in order; the file appears once it is complete."""
        part_file = to.with_name(f"{to.name}.part")
        urls, asked_at = dict[str, str](), 0.0
        with part_file.open("w+b") as file:
            for part in parts:
                if not urls or time.monotonic() - asked_at > _URLS_FRESH_SECONDS:
                    urls, asked_at = dict(self.state().urls), time.monotonic()
                if part not in urls:
                    raise FaqSearchError(
                        "too_many_files",
                        f"The results are {len(parts)} files, more than the API gives URLs for."
                        " Ask for them merged, or fetch them with `aws s3 cp`.",
                    )
                download(urls[part], file, on_bytes or _ignore_progress)
                _end_line(file)
        part_file.replace(to)
        return to


def _end_line(file: BinaryIO) -> None:
    """Ends the last line, so that what follows starts a new one."""
    if file.tell():
        file.seek(-1, SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _ignore_progress(_so_far: int, _of: int) -> None:
    """Ignores progress."""
