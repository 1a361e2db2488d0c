"""Deployments that are interrupted, killed, or made twice at once, under load.

After each, the next one must work, and serve what it deploys.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.attack.campaign import Part
from tests.attack.kills import note_traffic
from tests.end_to_end.local_app import ROOT, SAMPLE, LocalApp
from tests.end_to_end.traffic import Traffic

QUESTION = "Which colour has the secret door?"
_SETTLED_SECONDS = 180.0
_LONGEST_SECONDS = 25.0
_LONGEST_DOUBLE_SECONDS = 240.0  # for the slowest machine; what runs on is killed
_FORMS = (signal.SIGINT, signal.SIGKILL, "twice", signal.SIGTERM)


def attack(part: Part, app: LocalApp, folder: Path, rounds: int = 1) -> None:
    """Breaks deployments of new corpora, each followed by one that nobody breaks."""
    forms = _FORMS * rounds
    traffic = Traffic(app)
    try:
        with traffic:
            for case in part.numbers(len(forms)):
                _break_and_deploy(part, app, folder, case, forms[case])
            app.run("deploy", SAMPLE)
    finally:
        note_traffic(part, traffic)


def _break_and_deploy(
    part: Part, app: LocalApp, folder: Path, case: int, form: signal.Signals | str
) -> None:
    broken = [_corpus(folder, f"{case} {number}") for number in range(2)]
    _break(app, broken, form, part.random(case))
    _wait_until_settled(app)
    answer = f"It is colour {case}."
    done = app.run("deploy", _corpus(folder, answer))
    part.statuses["works" if done.returncode == 0 else "fails"] += 1
    name = form if isinstance(form, str) else form.name
    for what in judge(done.returncode, done.stdout, _best(app), answer):
        part.find(case, f"after {name}: {what}")


def judge(status: int, output: str, served: str | None, deployed: str) -> list[str]:
    """What is wrong with the deployment that follows a broken one."""
    if status:
        return [f"the next deployment fails: {output[-600:]}"]
    return [] if served == deployed else [f"the next deployment serves {served!r}"]


def _corpus(folder: Path, answer: str) -> Path:
    path = folder / f"{hashlib.sha256(answer.encode()).hexdigest()[:12]}.csv"
    path.write_text(f"{SAMPLE.read_text(encoding='utf-8')}{QUESTION},{answer}\n", encoding="utf-8")
    return path


def _break(app: LocalApp, corpora: list[Path], form: signal.Signals | str, random: Random) -> None:
    """Starts deployments and signals them; what is left of them in the end is killed."""
    twice = isinstance(form, str)
    running = [_start(app, corpus) for corpus in corpora[: 2 if twice else 1]]
    try:
        if twice:
            deadline = time.monotonic() + _LONGEST_DOUBLE_SECONDS
            with suppress(subprocess.TimeoutExpired):
                for process in running:
                    process.wait(timeout=deadline - time.monotonic())
            return
        assert not isinstance(form, str)
        time.sleep(random.uniform(2, _LONGEST_SECONDS))
        _signal(running[0], form)
        with suppress(subprocess.TimeoutExpired):
            running[0].wait(timeout=60)
    finally:
        for process in running:
            _signal(process, signal.SIGKILL)
            process.wait()


def _start(app: LocalApp, corpus: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "commands", "deploy", "--corpus", str(corpus)],
        cwd=ROOT,
        env={**os.environ, "LOCAL_STATE": str(app.state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the whole session, as a terminal does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _wait_until_settled(app: LocalApp) -> None:
    """CloudFormation goes on without the command, as on AWS."""
    deadline = time.monotonic() + _SETTLED_SECONDS
    while time.monotonic() < deadline:
        stacks = app.boto("cloudformation").describe_stacks()["Stacks"]
        if not any(stack["StackStatus"].endswith("IN_PROGRESS") for stack in stacks):
            return
        time.sleep(0.5)


def _best(app: LocalApp) -> str | None:
    with app.client() as client:
        return client.search([QUESTION], top_k=1).results[0][0].answer
