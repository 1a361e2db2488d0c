"""How a function of moto is put in another's place."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


def replace(owner: object, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
    """Puts `make(original)` in the place of the attribute `name` of `owner`."""
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(make(original)))
