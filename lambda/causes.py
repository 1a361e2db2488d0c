"""What Step Functions says of a failure, as a sentence for people."""

from __future__ import annotations

import json
import re

# What Step Functions appends to the message of a failed API call.
_CALL_DETAILS = re.compile(r"\s*\(Service: .*\)\s*$", re.DOTALL)


def unwrap(cause: str) -> tuple[str, str]:
    """Type and message inside a cause: a failed function's is JSON, an API call's has a tail.

    The type is empty where the cause does not tell it.
    """
    try:
        document = json.loads(cause)
        return str(document.get("errorType", "")), str(document["errorMessage"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return "", _CALL_DETAILS.sub("", cause)


def sentence(text: str) -> str:
    """The text with a full stop, unless it has its own end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
