"""Ends the server's child processes when the server is gone, however it ended.

The server runs this file. It reads "+<process group>" and "-<process group>" lines and kills the
remaining groups when the pipe closes, which happens on a clean end and on kill -9 alike.
(Linux's parent-death signal follows the thread that started the child, not the process, and
macOS has none.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    """Watches standard input until it closes."""
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
