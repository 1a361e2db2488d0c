"""The command `faq-search`, also as `python -m faq_search`."""

from __future__ import annotations

import sys

from faq_search.exits import exit_at_once, raise_interrupts


def run() -> int:
    """Runs the command line; returns its exit status."""
    exit_at_once()  # until the first request
    from faq_search.command import main  # noqa: PLC0415

    return main(loaded=raise_interrupts)


if __name__ == "__main__":
    sys.exit(run())
