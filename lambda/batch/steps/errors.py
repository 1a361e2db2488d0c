"""The error whose message is for the person who asked for the batch."""

from __future__ import annotations


class BatchError(Exception):
    """The batch cannot go on. The message says what was found and what is allowed.

    The workflow does not retry it, and the message becomes the report's reason.
    """
