"""One line of JSON per request in the server's log: what was asked, never the texts."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from container.errors import InvalidRequestError

logger = logging.getLogger(__name__)


@contextmanager
def logged(bake_id: str) -> Iterator[dict[str, Any]]:
    """Writes a request's line when the request ends; gives the line, to be completed by then.

    `request_id` is the caller's own, to find the line by; `mode` the request's, or `batch`;
    `texts` the number of texts to encode. `message` becomes answered, refused or failed.
    """
    line = {"message": "failed", "request_id": None, "mode": None, "texts": 0}
    started = time.monotonic()
    try:
        yield line
        line["message"] = "answered"
    except InvalidRequestError:
        line["message"] = "refused"
        raise
    finally:
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        logger.info("%s", json.dumps(line | {"milliseconds": milliseconds, "bake_id": bake_id}))
