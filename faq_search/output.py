"""What commands print: for people on a terminal, a line a result into a pipe, or JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# How far something is, and of how much.
OnProgress = Callable[[int, int], None]

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# Would act on the terminal, if a corpus had them.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Output:
    """Standard output, in one of three forms; remarks go to standard error.

    Attributes:
        as_json: JSON, wherever it goes.
        terminal: whether people read it.
    """

    def __init__(self, *, as_json: bool, console: Console | None = None) -> None:
        self.as_json = as_json
        self.terminal = console is not None or sys.stdout.isatty()
        if console is not None:
            self.console = console

    @cached_property
    def console(self) -> Console:
        """The terminal. Text that it gets is no markup."""
        from rich.console import Console  # noqa: PLC0415 - takes a while to load

        # A corpus may hold [brackets] and :colons:.
        return Console(markup=False, emoji=False, highlight=False)

    def json(self, value: object) -> None:
        """Prints JSON: on a terminal indented, else on one line."""
        indent = 2 if self.terminal else None
        print(json.dumps(value, ensure_ascii=False, indent=indent), flush=not self.terminal)

    def line(self, *cells: object) -> None:
        """Prints a result on one line, its parts separated by tabs and nothing cut."""
        texts = ("" if cell is None else str(cell) for cell in cells)
        print("\t".join(_BREAKS.sub(" ", text) for text in texts))

    def rows(
        self,
        title: str | None,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        key: str | None = None,
    ) -> None:
        """Prints a table for people, or a line for each row, which begins with `key`."""
        if self.terminal:
            self.table(title, columns, rows)
            return
        for row in rows:
            self.line(*(() if key is None else (key,)), *row)

    def table(
        self, title: str | None, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Prints a table for people."""
        from rich.table import Table  # noqa: PLC0415 - takes a while to load

        table = Table(title=title, title_justify="left", show_header=any(columns))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(printable(_shown(cell)) for cell in row))
        self.console.print(table)

    def say(self, text: str) -> None:
        """Prints a line for people: beneath results on a terminal, else nowhere."""
        if self.terminal and not self.as_json:
            self.console.print(printable(text), soft_wrap=True)

    def remark(self, text: str) -> None:
        """Prints what is no result to standard error."""
        print(text, file=sys.stderr)

    @contextmanager
    def progress(self, what: str, *, of_bytes: bool = False) -> Iterator[OnProgress]:
        """A bar on a terminal's standard error, moved by calls with so far and of how many."""
        if not sys.stderr.isatty():
            yield lambda _so_far, _of: None
            return
        from rich import progress  # noqa: PLC0415 - takes a while to load
        from rich.console import Console  # noqa: PLC0415

        sizes: tuple[progress.ProgressColumn, ...] = (progress.MofNCompleteColumn(),)
        if of_bytes:
            sizes = (progress.DownloadColumn(), progress.TransferSpeedColumn())
        columns = (*progress.Progress.get_default_columns()[:2], *sizes)
        with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, visible=False)

            def move(so_far: int, of: int) -> None:
                bar.update(task, completed=so_far, total=of, visible=True)

            yield move


def printable(text: str) -> str:
    """The text without characters that would act on a terminal."""
    return _CONTROLS.sub("�", text.replace("\r\n", "\n"))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
