"""Start of a worker process, in the place of /var/runtime/bootstrap.py.

Runs with the function's environment alone: standard library, awslambdaric and the function.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def _end_with_server(lifeline: int) -> None:
    # The server holds the other end and never writes: the read returns when it is gone,
    # however it ended. The group takes along whatever the function started.
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Arguments: the lifeline's file descriptor, the handler."""
    lifeline, handler = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_end_with_server, args=(lifeline,), daemon=True).start()
    # Late: importing takes a while, in which the server may end.
    from awslambdaric.__main__ import main as run  # type: ignore[import-untyped]  # noqa: PLC0415

    run([sys.argv[0], handler])


if __name__ == "__main__":
    main()
