"""The command `faq-search`, also as `python -m faq_search`."""

from __future__ import annotations

import os
import signal
import sys

from faq_search.exits import INTERRUPTED


def run() -> int:
    """Runs the command line; returns its exit status."""
    # Until the first request there is nothing to clean up, and KeyboardInterrupt may get lost in
    # modules while they load.
    # Set even where a shell started this in the background, with SIGINT ignored.
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from faq_search.command import main  # noqa: PLC0415

    return main(loaded=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))


if __name__ == "__main__":
    sys.exit(run())
