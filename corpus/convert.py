"""Writes a corpus in its canonical form: JSON lines with id, questions, answer and fields."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from corpus.reader import Format, iter_corpus


def convert(path: Path, output: Path, name: str | None = None, *, format_: Format) -> None:
    """Writes the entries of `path` as JSON lines; reading them gives the same entries.

    The file appears whole or not at all.

    Args:
        name: what messages call the file; by default its path.

    Raises:
        CorpusError: the corpus cannot be used; nothing is written.
        OSError: `output` cannot be written.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".{output.name}.{uuid4().hex}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(e.canonical() for e in iter_corpus(path, name, format_=format_))
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
