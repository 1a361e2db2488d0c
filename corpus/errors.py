"""The problems of a corpus file: collected over the whole file, reported in one message."""

from __future__ import annotations

from collections.abc import Sequence

MAX_LISTED = 20
"""Problems that a message lists; the rest are counted."""


class CorpusError(Exception):
    """A corpus that cannot be used.

    The message has one line per problem, `file:row: what was found; what is allowed`, where row is
    the line on which the record starts, counted from 1.

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
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._listed: list[str] = []
        self.count = 0

    def add(self, row: int | None, sentence: str) -> None:
        """Adds a problem of the record that starts at `row`, or of the file itself (None)."""
        self.count += 1
        if len(self._listed) < MAX_LISTED:
            place = self._file if row is None else f"{self._file}:{row}"
            self._listed.append(f"{place}: {sentence}")

    def stop(self, row: int | None, sentence: str) -> StopReading:
        """Adds a problem that ends the reading; the caller raises what this returns."""
        self.add(row, sentence)
        return StopReading()

    def error(self) -> CorpusError:
        """The error for all problems so far."""
        return CorpusError(self._file, self._listed, self.count)
