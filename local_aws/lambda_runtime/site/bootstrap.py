"""Starts a worker process, like /var/runtime/bootstrap.py on AWS.

Has only the function's environment: standard library, awslambdaric and the function.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def _end_with_server(lifeline: int) -> None:
    # The server holds the other end and never writes, so the read returns once the server is
    # gone, however it ended. Everything the function started belongs to the group.
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Arguments: the lifeline's file descriptor, the handler."""
    lifeline, handler = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_end_with_server, args=(lifeline,), daemon=True).start()
    # Only now: the import takes a while, during which the server may end.
    from awslambdaric.__main__ import main as run  # type: ignore[import-untyped]  # noqa: PLC0415

    run([sys.argv[0], handler])


if __name__ == "__main__":
    main()
