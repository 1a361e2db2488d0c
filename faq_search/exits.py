"""One way for commands to fail, and one to be interrupted. Standard library only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


def guard(run: Callable[[], int], message_of: Callable[[Exception], str | None]) -> int:
    """Runs a command and returns its exit status.

    An expected error ends it with 1 and its message on standard error, Ctrl-C with 130, a closed
    pipe with 141. Any other error is a bug and keeps its traceback.

    Args:
        message_of: what a person should read about an error; None for a bug.
    """
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        message = message_of(error)
        if message is None:
            raise
        print(message, file=sys.stderr)
        return 1
