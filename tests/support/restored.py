"""A function as SnapStart runs it: imported once, then restored any number of times.

Run as a program with a handler's dotted name. It imports the handler, takes its "snapshot" and
prints what that holds; then it answers each line of standard input, an event and the environment
of a restored function, in a process of its own, forked from the snapshot.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot

from tests.support.front_door import Context

# A restored function may run on another machine, whose clock began later.
_CLOCK_GOES_BACK_SECONDS = 5 * 3600


def main() -> None:
    module, _, name = sys.argv[1].rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    run_before_snapshot()
    sockets = [link for link in map(_target, Path("/proc/self/fd").iterdir()) if "socket" in link]
    print(json.dumps({"sockets": sockets, "threads": threading.active_count()}), flush=True)
    for line in sys.stdin:
        if child := os.fork():
            os.waitpid(child, 0)
            continue
        order = json.loads(line)
        os.environ.update(order["environment"])
        print(json.dumps(_answer(handler, order["event"])), flush=True)
        os._exit(0)


def _answer(handler: Any, event: dict[str, Any]) -> Any:
    real = time.monotonic
    time.monotonic = lambda: real() - _CLOCK_GOES_BACK_SECONDS
    began = real()
    run_after_restore()
    answer = handler(event, Context())
    return {"status": answer["statusCode"], "seconds": real() - began}


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # the one with which the folder was read
        return ""


if __name__ == "__main__":
    main()
