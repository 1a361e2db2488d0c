"""What the patches share: replacing functions of moto, and keeping its threads apart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any


def replace(owner: object, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
    """Puts `make(original)` in the place of the attribute `name` of `owner`."""
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(make(original)))


_locks: dict[str, threading.RLock] = {}


def service_lock(service: str) -> threading.RLock:
    """Held by whoever is at a service of moto, by the name of moto's package.

    moto's services iterate over dictionaries that its other threads add to.
    """
    return _locks.setdefault(service, threading.RLock())
