"""Faults of a corpus file: collected over the whole file, told in one message."""

from __future__ import annotations

from collections.abc import Sequence

MAX_LISTED = 20
"""Faults a message lists; the rest are counted."""


class CorpusError(Exception):
    """A corpus that cannot be used.

    The message holds one line a fault, `file:row: what was found; what is allowed`, where row is
    the line on which the faulty record starts, counted from 1. The first 20 faults are listed.

    Attributes:
        faults: the lines listed.
        count: how many faults there are in all.
    """

    def __init__(self, faults: Sequence[str], count: int) -> None:
        self.faults = tuple(faults)
        self.count = count
        lines = list(faults)
        if count > len(lines):
            lines.append(f"and {count - len(lines)} more")
        super().__init__("\n".join(lines))


class StopReading(Exception):  # noqa: N818 - a signal, caught where the reading began
    """Raised after a fault beyond which the rest of the file cannot be told apart."""


class Faults:
    """Collects the faults of one file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._listed: list[str] = []
        self.count = 0

    def add(self, row: int | None, sentence: str) -> None:
        """Notes a fault of the record that starts at `row`; None: of the file itself."""
        self.count += 1
        if len(self._listed) < MAX_LISTED:
            place = self._name if row is None else f"{self._name}:{row}"
            self._listed.append(f"{place}: {sentence}")

    def stop(self, row: int | None, sentence: str) -> StopReading:
        """Notes a fault that ends the reading; the caller raises what this returns."""
        self.add(row, sentence)
        return StopReading()

    def error(self, row: int | None, sentence: str) -> CorpusError:
        """Notes a fault and gives the error for all noted so far; the caller raises it."""
        self.add(row, sentence)
        return CorpusError(self._listed, self.count)

    def raise_if_any(self) -> None:
        """Raises CorpusError when a fault was noted."""
        if self.count:
            raise CorpusError(self._listed, self.count)
