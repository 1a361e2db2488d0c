"""botocore's descriptions of AWS's services."""

from __future__ import annotations

import threading
from functools import cache

import botocore.session
from botocore.model import ServiceModel

_session = botocore.session.get_session()
_loading = threading.Lock()


@cache
def _load(service: str) -> ServiceModel:
    return _session.get_service_model(service)


def service_model(service: str) -> ServiceModel:
    """The model of a service. Loading one takes up to a third of a second, once.

    Sessions do not support loading in several threads at once.
    """
    with _loading:
        return _load(service)
