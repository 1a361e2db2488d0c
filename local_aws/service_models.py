"""botocore's descriptions of AWS's services."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import botocore.session

_session = botocore.session.get_session()
_loading = threading.Lock()


@cache
def _load(service: str) -> Any:
    return _session.get_service_model(service)


def service_model(service: str) -> Any:
    """The model of a service. Loading one takes up to a third of a second, once.

    Sessions do not support loading in several threads at once.
    """
    with _loading:
        return _load(service)
