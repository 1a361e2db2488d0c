"""One way for commands to fail, and one to be interrupted. Standard library only."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


# How soon to look again whether an import has ended.
_IMPORT_SECONDS: Final = 0.05


def exit_at_once() -> None:
    """Lets Ctrl-C end the process as it stands, while there is nothing to clean up.

    It does so even where a shell started the process in the background, with SIGINT ignored.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def raise_interrupts() -> None:
    """Lets Ctrl-C raise KeyboardInterrupt, after an import that is running: there it can get lost.

    For the main thread. Takes SIGALRM.
    """

    def interrupt(_number: int, frame: FrameType | None) -> None:
        while frame:
            if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
                signal.setitimer(signal.ITIMER_REAL, _IMPORT_SECONDS)
                return
            frame = frame.f_back
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.signal(signal.SIGINT, interrupt)


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
