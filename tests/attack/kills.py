"""Killed processes under load: a worker, the encoder, a whole model server; each must come back.

One endpoint at a time: the other one has to answer meanwhile, so no request may be lost.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from faq_search.errors import FaqSearchError
from tests.attack.campaign import Part
from tests.end_to_end.local_app import LocalApp
from tests.end_to_end.traffic import Traffic

_BACK_SECONDS = 120.0
_ENDPOINTS = {"c6i-xlarge": "ml.c6i.xlarge", "g5-2xlarge": "ml.g5.2xlarge"}
KINDS = ("worker", "encoder", "server")


def attack(part: Part, app: LocalApp, count: int = 24) -> None:
    """Kills one process after the other while callers ask."""
    names = list(_ENDPOINTS)
    with Traffic(app) as traffic:
        for case in part.numbers(count):
            kind, name = KINDS[case % len(KINDS)], names[case // len(KINDS) % len(names)]
            group = _group(app, name)
            processes = _members(group, kind)
            if not processes:
                part.find(case, f"{name} has no {kind} to kill")
                continue
            os.kill(_chosen(part.random(case), processes), signal.SIGKILL)
            if not _answers_again(app, name):
                part.find(
                    case, f"{name} does not answer {_BACK_SECONDS:.0f} s after its {kind} died"
                )
    note_traffic(part, traffic)


def note_traffic(part: Part, traffic: Traffic) -> None:
    """Counts what callers got; each must have got an answer."""
    part.lost = sum(count for status, count in traffic.statuses.items() if status != 200)
    for status, count in traffic.statuses.items():
        part.statuses[str(status)] += count
    part.notes["requests"] = traffic.asked
    if part.lost:
        part.find(-1, f"{part.lost} of {traffic.asked} requests lost: {traffic.failures[:3]}")


def _group(app: LocalApp, endpoint: str) -> int:
    """The process group of an endpoint's model server, whose leader it is."""
    folder = app.state / "sagemaker/endpoints" / f"faq-search-local-{endpoint}"
    return int(max(folder.glob("*/pid"), key=lambda file: file.stat().st_mtime).read_text())


def _members(group: int, kind: str) -> list[int]:
    """The processes of a group that are of a kind."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            process = int(folder.name)
            if os.getpgid(process) == group and _kind(process, group) == kind:
                found.append(process)
    return found


def _kind(process: int, server: int) -> str:
    if process == server:
        return "server"
    command = Path(f"/proc/{process}/cmdline").read_bytes()
    return "encoder" if b"container.encoder" in command or b"encoder" in command else "worker"


def _chosen(random: Random, processes: list[int]) -> int:
    return random.choice(sorted(processes))


def _answers_again(app: LocalApp, endpoint: str) -> bool:
    deadline = time.monotonic() + _BACK_SECONDS
    with app.client() as client:
        while time.monotonic() < deadline:
            with suppress(FaqSearchError):
                found = client.search(["Which?"], instance_type=_ENDPOINTS[endpoint])
                if found.served_by.instance_type == _ENDPOINTS[endpoint]:
                    return True
            time.sleep(0.3)
    return False
