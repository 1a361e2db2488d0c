"""`python -m tests.attack`: attacks a local deployment, counts what comes of it, and reports.

It makes that deployment itself, or takes one that runs, and reaches nothing but 127.0.0.1. The
same seed makes the same cases.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.attack import (
    artifacts,
    bakes,
    bodies,
    deployments,
    garbage,
    kills,
    memory,
    raw_http,
    rest_api,
)
from tests.attack.campaign import Campaign, Part, console, refuse_other_machines
from tests.end_to_end.local_app import ROOT, LocalApp

RESULTS = ROOT / ".build/attack"

Attack = Callable[[Part, LocalApp, Path], None]


def parts(short: bool, minutes: float) -> Mapping[str, Attack]:
    """Each part by its name, in the order in which they run."""
    quick: dict[str, Attack] = {
        "rest-api": lambda part, app, _: rest_api.attack(part, app, 400 if short else 3340),
        "http": lambda part, app, _: raw_http.attack(part, app, 100 if short else 600),
        "bodies": lambda part, _, folder: bodies.attack(part, folder, 500 if short else 6000),
        "artifacts": lambda part, _, folder: artifacts.attack(part, folder, 15 if short else 1),
        "garbage": lambda part, _app, _folder: garbage.attack(part, slow=not short),
        "kills": lambda part, app, _: kills.attack(part, app, 3 if short else 12),
    }
    if short:
        return quick
    return {
        **quick,
        "bakes": lambda part, _, folder: bakes.attack(part, folder, 12),
        "deployments": deployments.attack,
        "memory": lambda part, app, _: memory.attack(part, app, minutes),
    }


def main() -> int:
    """Runs the parts. 0: nothing was found; 1: something was; 130: interrupted."""
    parser = argparse.ArgumentParser(prog="tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: another each time")
    parser.add_argument("--only", type=re.compile, default=re.compile(""), help="which parts")
    parser.add_argument("--case", type=int, help="the one case of a part to run again")
    parser.add_argument("--short", action="store_true", help="about two minutes")
    parser.add_argument("--minutes", type=float, default=1, help="of load, for the memory")
    parser.add_argument("--limit", type=float, default=19, help="minutes for all the rest")
    parser.add_argument("--state", type=Path, help="of a running `make local`, if not a new one")
    parser.add_argument("--results", type=Path, default=RESULTS, help="(default: %(default)s)")
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    sys.addaudithook(refuse_other_machines)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has it ignored
        signal.signal(number, signal.default_int_handler)
    campaign = Campaign(seed, _commit())
    console.print(f"SEED={seed}, at {campaign.commit}")
    chosen = {
        name: attack
        for name, attack in parts(options.short, options.minutes).items()
        if options.only.search(name)
    }
    try:
        with _limited(options.limit + options.minutes), tempfile.TemporaryDirectory() as folder:
            _run(campaign, chosen, options, Path(folder))
    except KeyboardInterrupt:
        campaign.interrupted = True
    console.print(campaign.table())
    console.print(f"The report is {campaign.write(options.results)}")
    if campaign.interrupted:
        return 130
    return int(campaign.failed)


def _run(
    campaign: Campaign, chosen: Mapping[str, Attack], options: argparse.Namespace, folder: Path
) -> None:
    with _app(options.state, folder) as app:
        for name, attack in chosen.items():
            part = Part(name, campaign.seed, options.case, options.short)
            campaign.parts.append(part)
            console.print(f"{name} …")
            began = time.monotonic()
            try:
                attack(part, app, folder)
            except Exception as error:
                console.print_exception()
                part.find(-1, f"the part itself failed: {error!r}")
            finally:
                part.seconds = time.monotonic() - began


@contextmanager
def _app(state: Path | None, folder: Path) -> Iterator[LocalApp]:
    """The deployment to attack; a new one is stopped in the end."""
    if state is not None:
        yield LocalApp(state)
        return
    app = LocalApp(folder / "state")
    try:
        console.print("a deployment …")
        yield app.start()
    finally:
        if app.process.poll() is None:
            app.interrupt()


@contextmanager
def _limited(minutes: float) -> Iterator[None]:
    """Interrupts what takes longer, as Ctrl-C would."""

    def give_up(*_: object) -> None:
        console.print(f"It is not done after {minutes:.0f} minutes.", style="red")
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, minutes * 60)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "an unknown commit"


if __name__ == "__main__":
    sys.exit(main())
