"""Loads an index of Amazon S3 Vectors, and the custom resource that starts that."""

from __future__ import annotations


class IndexLoadError(Exception):
    """The index cannot be loaded. The message says what was found and what to do.

    The workflow does not retry it, and the message is what `make status` shows.
    """
