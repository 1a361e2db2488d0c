"""`faq-search batch …`: files of JSON lines, however large."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from faq_search.errors import InputError
from faq_search.parsing import PROGRAM, Group, Session

if TYPE_CHECKING:
    from faq_search.batch import Batch
    from faq_search.results import BatchState


@click.group("batch", cls=Group, default="submit", short_help="Embed files of JSON lines.")
def batch() -> None:
    """Embed files of JSON lines, however large.

    `faq-search batch FILE` is short for `faq-search batch submit FILE`.
    """


_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def _output(help_: str) -> Callable[[_Decorated], _Decorated]:
    return click.option("-o", "--output", metavar="FILE", help=help_)


_rejects = click.option(
    "--rejects",
    metavar="FILE",
    help="Write the refused lines there, with their reasons; - is standard output.",
)
_batch_id = click.argument("batch_id", metavar="ID", help="As `batch submit` prints it.")


@batch.command(short_help="Start a batch.")
@click.argument(
    "source",
    metavar="FILE",
    help='Lines like {"id": 1, "text_inputs": "…"}; - is standard input. Or an S3 URI.',
)
@click.option("--merge", is_flag=True, help="Make one object of all embeddings.")
@click.option(
    "--instance-count",
    type=click.IntRange(1),
    metavar="N",
    help="Instances that share the work. Default and limit: the stage's.",
)
@click.option(
    "--client-token", metavar="TEXT", help="The same again gives the same batch, and starts none."
)
@click.option(
    "--wait/--no-wait",
    default=None,
    help="Wait until it has ended; -o and --rejects do.  [default: no-wait]",
)
@_output("Write the embeddings there, as JSON lines; - is standard output.")
@_rejects
@click.pass_obj
def submit(
    session: Session,
    *,
    source: str,
    merge: bool,
    instance_count: int | None,
    client_token: str | None,
    wait: bool | None,
    output: str | None,
    rejects: str | None,
) -> int:
    """Start a batch, and print its id.

    It runs on when this command ends.
    """
    _check(output, rejects)
    if wait is False and (output or rejects):
        raise click.UsageError("There are no results without waiting; drop --no-wait.")
    with ExitStack() as stack:
        if source == "-":
            copy = stack.enter_context(tempfile.NamedTemporaryFile())
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
            if not copy.tell():
                raise InputError("Standard input is empty.")
            source = copy.name
        api = stack.enter_context(session.connect())
        with session.out.progress("uploading", of_bytes=True) as on_bytes:
            started = api.batch(
                source,
                merge=merge,
                instance_count=instance_count,
                client_token=client_token,
                on_bytes=on_bytes,
            )
        if not (wait or output or rejects):
            _print_id(session, started)
            return 0
        session.out.remark(f"batch {started.batch_id}")
        return _finish(session, started, output, rejects)


def _print_id(session: Session, started: Batch) -> None:
    if session.out.as_json:
        session.out.json({"batch_id": started.batch_id})
        return
    print(started.batch_id)
    if session.out.terminal:
        session.out.remark(f"To wait for it: {PROGRAM} batch wait {started.batch_id}")


@batch.command(short_help="Show how far a batch is.")
@_batch_id
@click.pass_obj
def status(session: Session, batch_id: str) -> None:
    """Show how far a batch is.

    Piped: a word while it runs; once it has ended, a line for each part of its report.
    """
    with session.connect() as api:
        _show(session, api.find_batch(batch_id).state())


@batch.command(short_help="Wait until a batch has ended.")
@_batch_id
@_output("Then write the embeddings there, as JSON lines; - is standard output.")
@_rejects
@click.pass_obj
def wait(session: Session, batch_id: str, output: str | None, rejects: str | None) -> int:
    """Wait until a batch has ended, and show its report. Fails unless it has completed."""
    _check(output, rejects)
    with session.connect() as api:
        return _finish(session, api.find_batch(batch_id), output, rejects)


@batch.command(short_help="Fetch the results of a batch that has ended.")
@_batch_id
@_output("Default: standard output, unless --rejects is given.")
@_rejects
@click.pass_obj
def results(session: Session, batch_id: str, output: str | None, rejects: str | None) -> None:
    """Fetch the results of a batch that has ended: JSON lines, in the order of the input."""
    _check(output, rejects)
    with session.connect() as api:
        _fetch(session, api.find_batch(batch_id), output or ("" if rejects else "-"), rejects)


@batch.command(short_help="Stop a batch.")
@_batch_id
@click.pass_obj
def stop(session: Session, batch_id: str) -> None:
    """Stop a batch. What is embedded by then is kept."""
    with session.connect() as api:
        _show(session, api.find_batch(batch_id).stop())


def _check(output: str | None, rejects: str | None) -> None:
    if output is not None and output == rejects:
        raise click.UsageError("The embeddings and the refused lines cannot go to one place.")


def _finish(session: Session, started: Batch, output: str | None, rejects: str | None) -> int:
    """Waits, fetches what was asked for, and shows the report; 0 is success.

    A batch that failed may have results all the same, and the lines that made it fail.
    """
    from faq_search.errors import BatchError  # noqa: PLC0415 - with the client

    try:
        state, failed = started.wait(on_state=_progress(session)), 0
    except KeyboardInterrupt:
        session.out.remark("The batch goes on.")
        for verb in ("wait", "stop"):
            session.out.remark(f"To {verb}: {PROGRAM} batch {verb} {started.batch_id}")
        raise
    except BatchError as error:
        state, failed = error.state, 1
    has_output = state.report is not None and bool(state.report.output or state.report.merged)
    to = output if has_output or not failed else None
    _fetch(session, started, to, rejects if state.report else None)
    if failed and output and not to:
        session.out.remark(f"There are no embeddings; {output} was not written.")
    if "-" in (output, rejects):  # the report must not get in between
        session.out.remark(f"batch {state.status}")
    else:
        _show(session, state)
    return failed


def _progress(session: Session) -> Callable[[BatchState], None]:
    said: list[str] = []

    def on_state(state: BatchState) -> None:
        if state.status not in said and not state.ended:
            said.append(state.status)
            session.out.remark(f"{state.status} …")

    return on_state


def _fetch(session: Session, ended: Batch, output: str | None, rejects: str | None) -> None:
    with session.out.progress("downloading", of_bytes=True) as on_bytes, ExitStack() as stack:

        def file(given: str) -> Path:
            if given != "-":
                return Path(given)
            return Path(stack.enter_context(tempfile.TemporaryDirectory())) / "lines"

        if output:
            _deliver(output, ended.download(file(output), on_bytes))
        if rejects:
            found = ended.download_rejects(to := file(rejects), on_bytes)
            if found is None:  # none is a result, too; an older file would be a wrong one
                to.write_bytes(b"")
                session.out.remark("No lines were refused.")
            _deliver(rejects, to)


def _deliver(given: str, file: Path) -> None:
    if given == "-":
        sys.stdout.flush()
        with file.open("rb") as lines:
            shutil.copyfileobj(lines, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _show(session: Session, state: BatchState) -> None:
    out, report = session.out, state.report
    if out.as_json:
        whole = None if report is None else report.whole
        out.json({"batch_id": state.batch_id, "status": state.status, "report": whole})
        return
    if report is None:
        print(state.status)
        return
    counts, cost = report.records, report.cost
    rows = [
        ("batch", state.batch_id),
        ("status", report.status),
        ("reason", report.reason),
        ("embedded", counts.embedded),
        ("failed", counts.failed),
        ("refused lines", counts.rejected),
        ("blank lines", counts.blank),
        ("seconds", report.seconds),
        ("cost", f"about {cost.amount} {cost.currency}" if cost else None),
        ("merged", report.merged),
        *(("output", uri) for uri in _first(report.output, out.terminal)),
        *(("refused", uri) for uri in _first(report.rejects, out.terminal)),
    ]
    out.rows(None, ("", ""), [row for row in rows if row[1] is not None])


def _first(uris: tuple[str, ...], terminal: bool) -> list[str]:
    """All of them, or for people one and how many more."""
    if not terminal or len(uris) < 2:
        return list(uris)
    return [f"{uris[0]}\nand {len(uris) - 1:,} more"]
