"""Bakes that are killed at some moment: the model folder must be empty, or hold all of it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from tests.attack.campaign import Part
from tests.attack.lab import artifact, hashes, tiny_bake


def attack(part: Part, folder: Path, count: int = 20) -> None:
    """Bakes the same thing again and again; SageMaker stops a job by SIGTERM, then by SIGKILL."""
    wanted = hashes(artifact(folder))
    base = folder / "bakes"
    began = time.monotonic()
    _bake(base, None, 0)
    longest = time.monotonic() - began
    for case in part.numbers(count):
        random = part.random(case)
        number = random.choice((signal.SIGTERM, signal.SIGKILL, signal.SIGINT))
        seconds = longest * random.uniform(0.02, 1.05)
        found = _bake(base, number, seconds)
        part.statuses["whole" if found == wanted else "empty" if not found else "partial"] += 1
        for what in judge(found, wanted):
            part.find(case, f"{number.name} after {seconds:.2f} s: {what}")


def judge(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """What is wrong with a model folder of these files: that it is neither empty nor whole."""
    if not found or found == wanted:
        return []
    missing = sorted(wanted.keys() - found.keys())
    return [f"{len(found)} of {len(wanted)} files, without {missing[:5]}"]


def _bake(base: Path, number: signal.Signals | None, seconds: float) -> dict[str, str]:
    """The model folder's files after a bake that got a signal."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    run = tiny_bake(base)
    process = run.start()
    try:
        if number is not None:
            time.sleep(seconds)
            process.send_signal(number)
        process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    return hashes(run.model) if run.model.exists() else {}
