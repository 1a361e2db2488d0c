"""Helpers of the patches: replacing functions, substitutes for parts of moto, locks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def replace(owner: object, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
    """Replaces the attribute `name` of `owner` with `make(original)`."""
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(make(original)))


class Substitutes(Generic[T]):
    """Substitutes for a part of moto. The newest is used; without any, moto's own part is."""

    def __init__(self) -> None:
        self._substitutes: list[T] = []

    def add(self, substitute: T) -> None:
        """Uses `substitute` from now on."""
        self._substitutes.append(substitute)

    def remove(self, substitute: T) -> None:
        """Undoes `add`; may be called again."""
        if substitute in self._substitutes:
            self._substitutes.remove(substitute)

    @property
    def current(self) -> T | None:
        """The substitute in use."""
        return self._substitutes[-1] if self._substitutes else None


_locks: dict[str, threading.RLock] = {}


def service_lock(service: str) -> threading.RLock:
    """Held while one of moto's services, by the name of its package, is used.

    They iterate over dictionaries that requests in other threads would change.
    """
    return _locks.setdefault(service, threading.RLock())
