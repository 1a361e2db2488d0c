"""The steps of a batch's state machine."""

from __future__ import annotations


class BatchError(Exception):
    """The batch cannot go on. The message says what was found and what is allowed.

    The workflow does not retry it, and the message becomes the report's reason.
    """
