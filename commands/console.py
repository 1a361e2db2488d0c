"""The terminal: what commands print there, and ask."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from commands.errors import CommandError

console = Console(highlight=False)


def say(text: str, style: str | None = None) -> None:
    """Prints text as it is: no markup, no added line breaks."""
    console.print(text, style=style, markup=False, soft_wrap=True)


def write(text: str, file: Path) -> None:
    """Writes text to a file and says so; `-` is standard output, and nothing is said."""
    if file == Path("-"):
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")
        say(f"Written to {file}.")


def confirm(question: str, *, unasked: str) -> None:
    """Raises CommandError unless somebody at the terminal says yes.

    Args:
        unasked: what to do where there is no terminal.
    """
    if not sys.stdin.isatty():
        raise CommandError(f"{question}\nThere is no terminal to ask on. {unasked}")
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was changed.")
