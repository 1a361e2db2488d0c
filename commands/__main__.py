"""What operators run, most of it behind `make`: `python -m commands NAME --help`."""

from __future__ import annotations

from faq_search.exits import INTERRUPTED, exit_at_once, raise_interrupts

if __name__ == "__main__":
    exit_at_once()  # while modules load

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from commands.errors import guard

# The module of a command offers `add_arguments(parser)` and `run(options)`, which returns the exit
# status. It is imported only when its command is called.
COMMANDS = {
    "install": ("commands.install", "install what the commands need"),
    "local": ("commands.local", "deploy to an AWS on this machine, and serve until Ctrl-C"),
    "preflight": ("commands.preflight", "look for what would make a deployment to AWS fail"),
    "verify": ("commands.verify.command", "see what of docs/unverified.md holds on an account"),
    "diff": ("commands.diff", "show what a deployment would change, and what that costs"),
    "deploy": ("commands.deployment", "deploy a stage with the CDK"),
    "destroy": ("commands.deployment", "remove a stage with the CDK"),
    "cost": ("commands.cost", "estimate what a stage costs"),
    "on": ("commands.switch", "bring a stage's endpoints back"),
    "off": ("commands.switch", "take a stage's endpoints away, so that nothing is paid for them"),
    "status": ("commands.switch", "show whether a stage's endpoints are on or off"),
    "corpus-diff": ("commands.corpus_diff", "show which entries a deployment would change"),
    "versions": ("commands.versions", "list the corpora that were deployed, newest first"),
    "rollback": ("commands.rollback", "serve an earlier version again, without training"),
    "prune": ("commands.prune", "remove bakes that no version needs"),
    "evaluate": ("commands.evaluate", "measure how well questions find their answers"),
    "unanswered": ("commands.unanswered", "group by meaning what the corpus did not answer"),
    "walkthrough": ("commands.walkthrough", "run AWS's walk-through, a notebook, against a stage"),
    "pin-corpus": ("commands.pin_corpus", "print the settings for a corpus in S3"),
}


class _LazyParser(argparse.ArgumentParser):
    """The parser of one command, which gets its arguments once it is chosen."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if (name := self.prog.split()[-1]) in COMMANDS:
            _module(name).add_arguments(self)
        return super().parse_known_args(args, namespace)


def _module(name: str) -> Any:
    return importlib.import_module(COMMANDS[name][0])


def main(arguments: Sequence[str] | None = None, loaded: Callable[[], Any] = bool) -> int:
    """Runs one command; returns its exit status. Wrong usage exits with 2.

    loaded: called before the command does anything.
    """
    return guard(lambda: _run(arguments, loaded))


def _run(arguments: Sequence[str] | None, loaded: Callable[[], Any]) -> int:
    parser = argparse.ArgumentParser(prog="python -m commands", description=__doc__)
    names = parser.add_subparsers(
        dest="command", required=True, metavar="NAME", parser_class=_LazyParser
    )
    for name, (_, summary) in COMMANDS.items():
        names.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    options = parser.parse_args(arguments)
    module = _module(options.command)
    loaded()
    status: int = module.run(options)
    return status


if __name__ == "__main__":
    exit_status = main(loaded=raise_interrupts)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to clean up
    if exit_status == INTERRUPTED:
        # Python would end itself by a signal if an `eval` was among what was interrupted.
        sys.stderr.flush()
        os._exit(INTERRUPTED)
    sys.exit(exit_status)
