"""What a deploy would change in the corpus, as text for people or for a pull request."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from commands.versions.corpus_diff import CorpusDiff
from corpus.reader import Entry, iter_corpus

LISTED = 20
"""Entries listed of each kind; the rest are counted."""
_TEXT_LENGTH = 100


@dataclass(frozen=True)
class DiffReport:
    """What there is to say.

    title: of what. sentences: about the corpus as a whole and what is encoded again.
    diff: entry by entry, None where there is nothing to compare or nothing differs.
    entries: a line for each listed entry, with its sign.
    """

    title: str
    sentences: list[str]
    diff: CorpusDiff | None = None
    entries: tuple[str, ...] = ()

    def text(self) -> str:
        """For a terminal."""
        counts = [counted(self.diff)] if self.diff else []
        return "\n".join([self.title, *self.entries, *counts, *self.sentences])

    def markdown(self) -> str:
        """For a pull request: nothing that a corpus says is taken for markup or for a name."""
        parts = [f"### {self.title}"]
        if self.diff:
            parts.append(f"**{counted(self.diff)}**")
        if self.entries:
            listed = "\n".join(self.entries)
            # A fence longer than any run of backticks within.
            runs = [len(run) for run in re.findall("`+", listed)]
            fence = "`" * max(3, 1 + max(runs, default=0))
            parts.append(f"{fence}diff\n{listed}\n{fence}")
        return "\n\n".join([*parts, *self.sentences]) + "\n"


def counted(diff: CorpusDiff) -> str:
    """`2 added, 1 removed, 3 changed (…), 200 unchanged`."""
    parts = [f"{diff.changed_in(part):,} in {part}" for part in ("question", "answer", "both")]
    what = ", ".join(part for part in parts if not part.startswith("0 "))
    changed = f"{len(diff.changed):,} changed" + (f" ({what})" if what else "")
    return (
        f"{len(diff.added):,} added, {len(diff.removed):,} removed, {changed},"
        f" {diff.unchanged:,} unchanged."
    )


def listed_entries(diff: CorpusDiff, old: Path, new: Path) -> tuple[str, ...]:
    """The first entries of each kind, read from the files once more."""
    removed, added = diff.removed[:LISTED], diff.added[:LISTED]
    changed = list(diff.changed)[:LISTED]
    before, after = _entries(old, removed), _entries(new, {*added, *changed})
    lines = [f"- {_line(before[row])}" for row in removed]
    lines += _more("-", len(diff.removed))
    lines += [f"+ {_line(after[row])}" for row in added]
    lines += _more("+", len(diff.added))
    lines += [f"! {_line(after[row], diff.changed[row])}" for row in changed]
    lines += _more("!", len(diff.changed))
    return tuple(lines)


def _more(sign: str, count: int) -> list[str]:
    return [f"{sign} … and {count - LISTED:,} more"] if count > LISTED else []


def _entries(path: Path, rows: Collection[int]) -> dict[int, Entry]:
    found = {}
    for row, entry in enumerate(iter_corpus(path) if rows else ()):
        if row in rows:
            found[row] = entry
            if len(found) == len(rows):
                break
    return found


def _line(entry: Entry, part: str = "") -> str:
    where = {"": "", "both": " (question and answer)"}.get(part, f" ({part})")
    return f"{_short(entry.id)}{where}: {_short(entry.question or entry.answer)}"


def _short(text: str) -> str:
    """In one line, and nothing in it that a terminal or a reader could be led astray by."""
    text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    return text if len(text) <= _TEXT_LENGTH else text[: _TEXT_LENGTH - 1] + "…"
