"""Runs walkthrough.ipynb cell by cell, and writes it with its outputs, also as HTML.

For the environment of requirements/walkthrough.txt; `make walkthrough` starts it. Which AWS it
runs against, and as whom, is for the environment variables to say.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from traitlets.config import Config

SOURCE = Path(__file__).parent / "walkthrough.ipynb"
CLEAN_UP = "clean-up"
"""The tag of the cell that removes what the others made. It runs even after a failure."""
# The longest a cell may take: on AWS the bake, which the settings limit to less than an hour.
_CELL_SECONDS = 3600
_NOTE = re.compile(r"^\*.*\*$", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, 1 after a failed cell, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--where", required=True, help="which AWS it is, for the first cell")
    options = parser.parse_args(arguments)
    notebook = nbformat.read(SOURCE, as_version=4)
    _annotate(notebook, options.where)
    with TemporaryDirectory() as folder:
        status = _run(notebook, Path(folder))
    _write(notebook, options.output)
    return status


def _run(notebook: nbformat.NotebookNode, sockets: Path) -> int:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(execution_count=None, outputs=[])
    client = NotebookClient(
        notebook,
        timeout=_CELL_SECONDS,
        record_timing=False,
        # Sockets that only this user can open, instead of ports.
        config=Config({"KernelManager": {"transport": "ipc", "ip": str(sockets / "kernel")}}),
        resources={"metadata": {"path": str(SOURCE.parent)}},
    )
    with client.setup_kernel():
        interrupted = _interrupt(client)
        try:
            _execute(client, notebook, interrupted)
        except CellExecutionError as error:
            print(f"failed\n{error.ename}: {error.evalue}", file=sys.stderr)
            _clean_up(client, notebook)
            return 130 if interrupted else 1
    return 0


def _interrupt(client: NotebookClient) -> list[int]:
    """Lets the first Ctrl-C break the cell that runs, and fill the list that is returned.

    Later ones have no effect: they would break the clean-up.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        if not received:
            received.append(number)
            os.kill(client.km.provisioner.pid, signal.SIGINT)

    signal.signal(signal.SIGINT, interrupt)
    return received


def _execute(
    client: NotebookClient, notebook: nbformat.NotebookNode, interrupted: list[int]
) -> None:
    """Executes one cell after the other, with a line for each. Raises CellExecutionError."""
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    number = 0
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            for heading in re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE):
                print(heading, flush=True)
            continue
        number += 1
        print(f"  cell {number:2} of {total}: {cell.id:<16}", end="", flush=True)
        began = time.monotonic()
        if interrupted:  # between two cells
            raise CellExecutionError("", "KeyboardInterrupt", "")
        client.execute_cell(cell, index)
        print(f"{time.monotonic() - began:6.1f} s", flush=True)


def _clean_up(client: NotebookClient, notebook: nbformat.NotebookNode) -> None:
    print("\nRemoving what the notebook made …", flush=True)
    for index, cell in enumerate(notebook.cells):
        if CLEAN_UP in cell.metadata.get("tags", ()):
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                print(f"Some of it is left: {error.ename}: {error.evalue}", file=sys.stderr)


def _annotate(notebook: nbformat.NotebookNode, where: str) -> None:
    """Says in the first cell where the outputs are from."""
    notebook.cells[0].source = _NOTE.sub(f"*Outputs: from {where}.*", notebook.cells[0].source)


def _write(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Without what differs from machine to machine."""
    notebook.metadata.language_info = {"name": "python"}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SOURCE.name
    nbformat.write(notebook, file)
    # A page that loads nothing from elsewhere: it has neither formulas nor widgets.
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="")
    page, _ = exporter.from_notebook_node(notebook)
    file.with_suffix(".html").write_text(page, encoding="utf-8")
    print(f"Written: {file}, {file.with_suffix('.html').name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
