"""What the patches share: replacing functions, acting in moto's place, locks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def replace(owner: object, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
    """Replaces the attribute `name` of `owner` by `make(original)`."""
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(make(original)))


class Substitutes(Generic[T]):
    """What acts in moto's place: the newest; without any, moto acts as it would by itself."""

    def __init__(self) -> None:
        self._substitutes: list[T] = []

    def add(self, substitute: T) -> None:
        """Lets `substitute` act from now on."""
        self._substitutes.append(substitute)

    def remove(self, substitute: T) -> None:
        """Undoes `add`; may be called again."""
        if substitute in self._substitutes:
            self._substitutes.remove(substitute)

    @property
    def current(self) -> T | None:
        """The newest."""
        return self._substitutes[-1] if self._substitutes else None


_locks: dict[str, threading.RLock] = {}


def service_lock(service: str) -> threading.RLock:
    """Held while one of moto's services, by the name of its package, is used.

    They iterate over dictionaries that requests in other threads would change.
    """
    return _locks.setdefault(service, threading.RLock())
