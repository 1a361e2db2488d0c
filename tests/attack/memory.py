"""The memory of each process of a deployment under a mixed load: does it grow without an end?"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from faq_search.api import FaqSearch
from faq_search.errors import FaqSearchError
from tests.attack.campaign import Part, console
from tests.end_to_end.local_app import LocalApp

_CALLERS = 3
_PAUSE_SECONDS = 0.2
_SAMPLE_SECONDS = 3.0
_WARM_UP = 1 / 3
# What counts as a leak: more than so much a minute, seen for at least so many minutes.
LEAK_MB_A_MINUTE = 1.0
LEAST_MINUTES = 8.0

# Of each process, by its kind and id: minutes since the start, and megabytes.
Samples = dict[tuple[str, int], list[tuple[float, float]]]


def attack(part: Part, app: LocalApp, minutes: float) -> None:
    """Asks for some minutes, and samples."""
    session = _session(app)
    ended = threading.Event()
    callers = [
        threading.Thread(target=_ask, args=(part, app, number, ended)) for number in range(_CALLERS)
    ]
    samples: Samples = {}
    for caller in callers:
        caller.start()
    began = time.monotonic()
    try:
        while (elapsed := (time.monotonic() - began) / 60) < minutes:
            for process, megabytes in resident(session).items():
                samples.setdefault(process, []).append((elapsed, megabytes))
            time.sleep(_SAMPLE_SECONDS)
    finally:
        ended.set()
        for caller in callers:
            caller.join()
    part.notes["minutes"] = minutes
    part.notes["memory"] = lines = summarize(samples, minutes)
    for name, line in lines.items():
        console.print(f"  {name}: {line}", style="dim")
        for what in judge(line, minutes):
            part.find(-1, f"{name}: {what}")


def summarize(samples: Samples, minutes: float) -> dict[str, dict[str, float]]:
    """By kind, of the processes that live from the warm-up to the end: megabytes then and now.

    `mb_a_minute` is the slope after the warm-up.
    """
    end = max((elapsed for each in samples.values() for elapsed, _ in each), default=0.0)
    lines: dict[str, dict[str, float]] = {}
    for (name, _), each in samples.items():
        warm = [sample for sample in each if sample[0] >= minutes * _WARM_UP]
        line = lines.setdefault(
            name, {"processes": 0, "warm_mb": 0.0, "last_mb": 0.0, "mb_a_minute": 0.0}
        )
        if len(warm) > 2 and each[0][0] <= minutes * _WARM_UP and warm[-1][0] == end:
            line["processes"] += 1
            line["warm_mb"] += warm[0][1]
            line["last_mb"] += warm[-1][1]
            line["mb_a_minute"] += float(np.polyfit(*np.array(warm).T, 1)[0])
    return {
        name: {key: round(value, 3) for key, value in line.items()} for name, line in lines.items()
    }


def judge(line: dict[str, float], minutes: float) -> list[str]:
    """Whether a process grows; a few minutes say nothing."""
    measured = minutes * (1 - _WARM_UP)
    if measured < LEAST_MINUTES or line["mb_a_minute"] <= LEAK_MB_A_MINUTE:
        return []
    return [f"grows by {line['mb_a_minute']:.2f} MB a minute ({line['last_mb']:.0f} MB now)"]


def resident(session: int) -> dict[tuple[str, int], float]:
    """Megabytes of each process of a session, by what it is and its id."""
    found: dict[tuple[str, int], float] = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            process = int(folder.name)
            if os.getsid(process) == session or _of_session(process, session):
                name = _name((folder / "cmdline").read_text().split("\0"), process, session)
                pages = int((folder / "statm").read_text().split()[1])
                found[name, process] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return found


def _of_session(process: int, session: int) -> bool:
    """Whether a process descends from the session's leader: children have sessions of their own."""
    while process > 1:
        if process == session:
            return True
        status = Path(f"/proc/{process}/status").read_text()
        process = int(next(x for x in status.splitlines() if x.startswith("PPid:")).split()[1])
    return False


def _name(command: list[str], process: int, session: int) -> str:
    if process == session:
        return "local AWS"
    words = " ".join(command)
    for part, name in (
        ("model_server.py", "model servers"),
        ("model_service_worker", "workers"),
        ("encoder", "encoders"),
        ("bootstrap", "functions"),
        ("watchdog", "watchdogs"),
    ):
        if part in words:
            return name
    return Path(command[0]).name + " " + " ".join(Path(each).name for each in command[1:3])


def _session(app: LocalApp) -> int:
    return int(json.loads((app.state / "running.json").read_text())["pid"])


def _ask(part: Part, app: LocalApp, number: int, ended: threading.Event) -> None:
    """A caller: mostly small searches, now and then something large or wrong."""
    chance = random.Random(f"{part.seed}/memory/{number}")
    with FaqSearch(app.api["url"], api_key=app.api["api_key"], retries=0) as client:
        while not ended.wait(_PAUSE_SECONDS):
            part.cases += 1
            try:
                _one(client, chance)
                part.answered(200)
            except FaqSearchError as error:
                status = error.status or 0
                part.answered(status, error.code or "")
                if status == 0 or (status >= 500 and status not in (503, 504)):
                    part.lost += 1
                    part.find(-1, f"{status} {error.code} under a mixed load")


def _one(client: FaqSearch, chance: random.Random) -> Any:
    text = f"What is number {chance.randrange(10**6)}?"
    match chance.randrange(12):
        case 0:
            return client.embed([f"{text} {number}" for number in range(40)])
        case 1:
            return client.nearest([f"{text} {number}" for number in range(30)], [text])
        case 2:
            return client.search([text], top_k=100)
        case 3:
            return client.health()
        case 4:
            return client.search(["x" * 20_000])
        case 5:
            return client.search([text], top_k=100_000)
        case _:
            return client.search([text])
