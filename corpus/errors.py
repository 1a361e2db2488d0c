"""What is wrong or doubtful in a corpus file: collected over the whole file, reported together."""

from __future__ import annotations

from collections.abc import Sequence

MAX_LISTED = 20
"""Problems that a message lists; the rest are counted."""
MAX_OF_A_KIND = 3
"""Warnings of one kind that are listed; the rest are counted."""
MAX_SHOWN = 60
"""Characters of a text that a message shows."""

Place = int | str | None
"""Where a record starts: a line from 1, a place in a document such as `questions[2]`, or None for
the whole file."""


class CorpusError(Exception):
    """A corpus that cannot be used.

    The message has one line per problem, `file:place: what was found; what to do`.

    Attributes:
        file: what messages call the file.
        problems: the lines listed, at most 20.
        count: the number of problems in all.
    """

    def __init__(self, file: str, problems: Sequence[str], count: int) -> None:
        self.file = file
        self.problems = tuple(problems)
        self.count = count
        more = [f"and {count - len(problems)} more"] if count > len(problems) else []
        super().__init__("\n".join([*problems, *more]))


class StopReading(Exception):  # noqa: N818 - a signal, caught where the reading began
    """Raised after a problem that makes the rest of the file unreadable."""


class Problems:
    """Collects the problems and warnings of one file.

    Attributes:
        count: problems so far.
        notes: sentences about the file as a whole that need no attention, such as what was skipped.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0
        self.notes: list[str] = []
        self._listed: list[str] = []
        self._warnings: dict[str, tuple[list[str], int]] = {}
        self._said: set[str] = set()

    def add(self, place: Place, sentence: str) -> None:
        """Adds a problem: the corpus cannot be used."""
        self.count += 1
        if len(self._listed) < MAX_LISTED:
            self._listed.append(self._line(place, sentence))

    def stop(self, place: Place, sentence: str) -> StopReading:
        """Adds a problem that ends the reading; the caller raises what this returns."""
        self.add(place, sentence)
        return StopReading()

    def warn(self, kind: str, place: Place, sentence: str) -> None:
        """Adds a warning: the corpus is used, but a person should look.

        Args:
            kind: what the warnings have in common, in the plural, such as `repeated questions`.
        """
        listed, count = self._warnings.get(kind, ([], 0))
        if count < MAX_OF_A_KIND:
            listed.append(self._line(place, sentence))
        self._warnings[kind] = (listed, count + 1)

    def warn_once(self, kind: str, place: Place, sentence: str) -> None:
        """Adds a warning, unless the file has the same one already."""
        if sentence not in self._said:
            self._said.add(sentence)
            self.warn(kind, place, sentence)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Three lines of each kind, and how many more there are."""
        lines = []
        for kind, (listed, count) in self._warnings.items():
            lines += listed
            if count > len(listed):
                lines.append(f"{self.file}: and {count - len(listed):,} more {kind}")
        return tuple(lines)

    def error(self) -> CorpusError:
        """The error for all problems so far."""
        return CorpusError(self.file, self._listed, self.count)

    def _line(self, place: Place, sentence: str) -> str:
        return f"{self.file}: {sentence}" if place is None else f"{self.file}:{place}: {sentence}"


def shown(text: str) -> str:
    """A text as messages show it: in quotes, in one line, shortened."""
    return repr(text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…")


def shown_row(cells: Sequence[str]) -> str:
    """The cells of a row as messages show them."""
    return " | ".join(shown(cell) for cell in cells)
