"""Sentences that say why something failed."""

from __future__ import annotations

import json
import re

# What Step Functions appends to the message of a failed API call.
_CALL_DETAILS = re.compile(r"\s*\(Service: .*\)\s*$", re.DOTALL)


def reason_of(error: str | None, cause: str | None) -> str:
    """The message in an error and cause of Step Functions.

    The cause of a failed function is JSON, that of a failed API call ends with details of the
    call. Without a cause the error's name must do.
    """
    try:
        return str(json.loads(cause or "")["errorMessage"])
    except (KeyError, TypeError, ValueError):
        return _CALL_DETAILS.sub("", cause or "") or error or ""


def because(failure: str, reason: str = "") -> str:
    """The failure and its reason, if there is one, as a sentence."""
    text = f"{failure}: {reason}" if reason else failure
    return text if text.endswith((".", "!", "?")) else f"{text}."
