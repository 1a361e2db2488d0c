"""The one time budget that all attempts of a request share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

# A shorter attempt is not worth starting: it would only be cut off.
SHORTEST_ATTEMPT_SECONDS: Final = 1


class TimeBudget:
    """The remaining time of a request, and how much of it was spent waiting.

    `seconds` counts from now. `clock` returns seconds and never goes back.

    Attributes:
        waited, waited_for_index: seconds spent waiting for endpoints, and for an index.
        reserved: seconds that attempts leave for what comes after them.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._deadline = self._began + seconds
        self.waited = 0.0
        self.waited_for_index = 0.0
        self.reserved = 0.0

    def remaining(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self._deadline - self._clock()

    def elapsed(self) -> float:
        """Seconds since the request began."""
        return self._clock() - self._began

    def attempt_seconds(self, others_left: int) -> float | None:
        """Seconds that the next attempt may take, or None when too little is left.

        While other endpoints remain, an attempt gets half of the remaining time, so that one that
        hangs leaves as much for the others.
        """
        remaining = self.remaining() - self.reserved
        if remaining < SHORTEST_ATTEMPT_SECONDS:
            return None
        share = remaining / 2 if others_left else remaining
        return max(SHORTEST_ATTEMPT_SECONDS, share)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time inside the `with` block as waiting for an endpoint."""
        began = self._clock()
        try:
            yield
        finally:
            self.waited += self._clock() - began

    @contextmanager
    def waiting_for_index(self) -> Iterator[None]:
        """Counts the time inside the `with` block as waiting for an index."""
        began = self._clock()
        try:
            yield
        finally:
            self.waited_for_index += self._clock() - began

    @contextmanager
    def reserving(self, seconds: float) -> Iterator[None]:
        """Keeps `seconds` from the attempts inside the `with` block."""
        self.reserved = seconds
        try:
            yield
        finally:
            self.reserved = 0.0
