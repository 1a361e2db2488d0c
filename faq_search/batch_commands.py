"""The batch commands, such as `python -m faq_search batch FILE --merge -o out.jsonl`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from faq_search.api import FaqSearch
from faq_search.batch import Batch
from faq_search.errors import BatchError
from faq_search.results import BatchState, Report
from faq_search.transfer import OnBytes


def add(commands: Any) -> None:
    """Adds the commands to a parser's subparsers."""
    batch = commands.add_parser("batch", help="embed a file of JSON lines, however large")
    batch.add_argument(
        "source", metavar="FILE", help='lines {"id": 1, "text_inputs": "…"}; or an S3 URI'
    )
    batch.add_argument("--merge", action="store_true", help="one object with all embeddings")
    batch.add_argument("--instance-count", type=int, help="default: the stage's")
    batch.add_argument("--token", help="the same again gives the same batch")
    batch.add_argument("--no-wait", action="store_true", help="print the batch's id and return")
    _add_files(batch, required=False)

    for name, help_ in (
        ("batch-status", "how far a batch is"),
        ("batch-wait", "wait until a batch has finished"),
        ("batch-stop", "stop a batch; what is embedded is kept"),
        ("batch-download", "fetch a batch's results"),
    ):
        command = commands.add_parser(name, help=help_)
        command.add_argument("batch_id", metavar="ID")
    _add_files(command, required=True)


def _add_files(command: argparse.ArgumentParser, *, required: bool) -> None:
    command.add_argument(
        "-o", "--output", type=Path, required=required, metavar="FILE", help="the embeddings"
    )
    command.add_argument(
        "--rejects", type=Path, metavar="FILE", help="the refused lines, with their reasons"
    )


def _batch(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    with _bytes(console, "uploading") as on_bytes:
        batch = api.batch(
            given.source,
            merge=given.merge,
            instance_count=given.instance_count,
            client_token=given.token,
            on_bytes=on_bytes,
        )
    console.print(f"batch {batch.batch_id}")
    if given.no_wait:
        return 0
    found = _wait(batch, console)
    if given.output and not found:
        _download(batch, given, console)
    return found


def _status(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    _show(api.find_batch(given.batch_id).state(), console)
    return 0


def _wait_for(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    return _wait(api.find_batch(given.batch_id), console)


def _stop(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    console.print(api.find_batch(given.batch_id).stop().status)
    return 0


def _fetch(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    _download(api.find_batch(given.batch_id), given, console)
    return 0


def _wait(batch: Batch, console: Console) -> int:
    """Waits and shows how it ended; 0 is success. Ctrl-C ends only the waiting."""
    try:
        with console.status("…") as shown:
            state = batch.wait(on_state=lambda state: shown.update(state.status))
    except KeyboardInterrupt:
        console.print(f"It continues. To wait: python -m faq_search batch-wait {batch.batch_id}")
        console.print(f"To stop it: python -m faq_search batch-stop {batch.batch_id}")
        raise
    except BatchError as error:
        _show(error.state, console)
        return 1
    _show(state, console)
    return 0


def _show(state: BatchState, console: Console) -> None:
    report = state.report
    if report is None:
        console.print(state.status)
        return
    table = Table("", "", title=f"batch {state.batch_id}", show_header=False)
    for name, value in _lines(report):
        table.add_row(name, value)
    console.print(table)


def _lines(report: Report) -> list[tuple[str, str]]:
    counts, cost = report.records, report.cost
    lines = [
        ("status", report.status),
        ("reason", report.reason or ""),
        ("embedded", _count(counts.embedded)),
        ("failed", _count(counts.failed)),
        ("refused lines", _count(counts.rejected)),
        ("blank lines", _count(counts.blank)),
        ("seconds", f"{report.seconds:,}"),
        ("cost", f"about {cost.amount} {cost.currency}" if cost else ""),
        ("merged", report.merged or ""),
        ("output", _files(report.output)),
        ("refused", _files(report.rejects)),
    ]
    return [(name, value) for name, value in lines if value]


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _files(uris: tuple[str, ...]) -> str:
    more = f"\nand {len(uris) - 1:,} more" if len(uris) > 1 else ""
    return f"{uris[0]}{more}" if uris else ""


def _download(batch: Batch, given: argparse.Namespace, console: Console) -> None:
    with _bytes(console, "downloading") as on_bytes:
        console.print(f"embeddings: {batch.download(given.output, on_bytes)}")
        if given.rejects:
            found = batch.download_rejects(given.rejects, on_bytes)
            console.print(f"refused lines: {found or 'none'}")


@contextmanager
def _bytes(console: Console, what: str) -> Iterator[OnBytes]:
    """A progress bar of bytes, which appears with the first of them."""
    from rich.progress import (  # noqa: PLC0415 - it takes a while to load
        DownloadColumn,
        Progress,
        TransferSpeedColumn,
    )

    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, visible=False)

        def on_bytes(so_far: int, of: int) -> None:
            progress.update(task, completed=so_far, total=of, visible=True)

        yield on_bytes


COMMANDS: dict[str, Callable[[FaqSearch, argparse.Namespace, Console], int]] = {
    "batch": _batch,
    "batch-status": _status,
    "batch-wait": _wait_for,
    "batch-stop": _stop,
    "batch-download": _fetch,
}
