"""The error whose message is for the one who asked for the batch."""

from __future__ import annotations


class BatchError(Exception):
    """A batch that cannot go on. The message is a sentence: what was found, what is allowed.

    Repeating does not help, so the workflow does not; the message becomes the report's reason.
    """
