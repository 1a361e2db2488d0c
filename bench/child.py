"""A contender's process: `python -m bench.child module:function '{"argument": …}'`.

The function prepares (imports, loads) and returns its tasks by name. Each line on standard input,
`{"task": …, "times": n, "save": file or null}`, then runs one of them. A line on standard output
says how long each run took, what the last one returned (if it is a dict; arrays are for `save`),
and the peak memory so far. Needs only the standard library, since it also runs on Lambda's Python.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path


def main() -> int:
    """Serves one contender until standard input ends."""
    target, arguments = sys.argv[1:]
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module, _, function = target.partition(":")
    tasks = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    for line in sys.stdin:
        asked = json.loads(line)
        task = tasks[asked["task"]]
        seconds, value = [], None
        for _ in range(asked["times"]):
            began = time.perf_counter()
            value = task()
            seconds.append(time.perf_counter() - began)
        if asked["save"]:
            import numpy as np  # noqa: PLC0415 - only for contenders that have arrays

            np.save(asked["save"], np.asarray(value))
        shown = value if isinstance(value, dict) else None
        answer = {"seconds": seconds, "value": shown, "peak_bytes": peak_bytes()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def peak_bytes() -> int:
    """The most memory that this process has held at a time.

    `ru_maxrss` alone would be at least that of the process that started this one.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
