"""The real model server of a small machine under more callers than it can answer, for minutes."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import linear_regression, median
from typing import Any

from bench.contenders.mixed_load import BUDGET_SECONDS, IMPATIENT_SECONDS
from bench.context import Bench
from bench.measure import BenchError, Contender, Process
from bench.model_server import ModelServer
from bench.processes import MemoryLog
from bench.report import Section, Table, megabytes, milliseconds, ratio
from bench.texts import SHORT_QUESTION
from stage.model_server import environment

FEW, MANY = 16, 64
_SAMPLE_SECONDS = 5.0
# A line of the server's log: when, and the container's own line about a request.
_LINE = re.compile(
    r'^(\S+) \[INFO \] .*? - (\{"message": "(?:answered|expired|busy|refused)".*\})$'
)


@dataclass
class Found:
    """Results of contenders.mixed_load by number of clients, in turns; memory while many asked.

    `ages` are the seconds for which answered requests had been under way, each with its budget;
    `messages` counts the container's own log lines.
    """

    turns: dict[int, list[Mapping[str, Any]]] = field(default_factory=lambda: {FEW: [], MANY: []})
    turn_seconds: float = 0.0
    memory: Sequence[tuple[float, Mapping[str, int]]] = ()
    ages: Sequence[tuple[float, float]] = ()
    messages: Mapping[str, int] = field(default_factory=dict)


def measure(bench: Bench) -> Section:
    """Few callers, then many for `bench.minutes`, then few again."""
    if shutil.which("java") is None:
        raise BenchError("needs Java, for multi-model-server")
    minutes = min(0.5, bench.minutes) if bench.quick else bench.minutes
    turns = max(2, round(minutes))
    found = Found(turn_seconds=minutes * 60 / turns)
    with (
        ModelServer(bench.python, bench.base, {**environment(gpu=False), "TZ": "UTC"}) as server,
        bench.step("under load", turns + 3) as done,
    ):
        question = json.dumps({"queries": [SHORT_QUESTION], "mode": "nn_train_data"})
        url = f"{server.url}/invocations"
        server.wait_for_answer(url, question)
        memory = MemoryLog(server.group)

        def ask(clients: int, seed: int) -> Mapping[str, Any]:
            given: dict[str, Any] = {"url": url, "clients": clients, "seed": seed}
            given["seconds"] = found.turn_seconds
            name = f"{clients} clients"
            target = "bench.contenders.mixed_load:mixed"
            with Process(Contender(name, sys.executable, target, given)) as process:
                answer: Mapping[str, Any] = process.run("ask").value
            done()
            return answer

        ask(FEW, 0)  # the Java server and its workers warm up
        found.turns[FEW].append(ask(FEW, 1))
        with memory.watching(_SAMPLE_SECONDS):
            for turn in range(turns):
                found.turns[MANY].append(ask(MANY, 2 + turn))
                found.memory = list(memory.samples)
                bench.publish(section(found))
        found.memory = memory.samples
        found.turns[FEW].append(ask(FEW, 1))
        time.sleep(1)
        found.ages, found.messages = read_log(server.log.splitlines())
    return section(found)


def read_log(lines: Iterable[str]) -> tuple[list[tuple[float, float]], Counter[str]]:
    """Of answered requests the age at their answer and the budget; and the messages' counts."""
    ages, messages = [], Counter[str]()
    for line in lines:
        if (match := _LINE.match(line)) is None:
            continue
        logged = datetime.fromisoformat(match[1].replace(",", ".")).replace(tzinfo=UTC)
        about = json.loads(match[2])
        messages[about["message"]] += 1
        if about["message"] == "answered" and about["request_id"]:
            sent, budget, _ = about["request_id"].split()
            ages.append((logged.timestamp() - float(sent), float(budget)))
    return ages, messages


def slope(samples: Sequence[tuple[float, Mapping[str, int]]], kind: str | None) -> float:
    """Bytes a minute by which memory grew, by least squares; `None` for all kinds together."""
    seconds = [at for at, _ in samples]
    sizes = [_size(by_kind, kind) for _, by_kind in samples]
    if len(set(seconds)) < 2:
        return 0.0
    return float(linear_regression(seconds, sizes).slope) * 60


def _size(by_kind: Mapping[str, int], kind: str | None) -> int:
    return sum(by_kind.values()) if kind is None else by_kind.get(kind, 0)


def section(found: Found) -> Section:
    """The section from what is measured so far."""
    rates = {
        clients: median(one["per_second"] for one in turns)
        for clients, turns in found.turns.items()
        if turns
    }
    rows = []
    for clients, turns in found.turns.items():
        if not turns:
            continue
        statuses = sum((Counter(one["statuses"]) for one in turns), Counter[str]())
        total = max(1, statuses.total())
        shown = ", ".join(f"{k}: {n:,} ({n / total:.1%})" for k, n in sorted(statuses.items()))
        p50, p95 = (median(one[p] or 0 for one in turns) for p in ("p50", "p95"))
        longest = max(one["longest"] or 0 for one in turns)
        rows.append(
            [
                f"{clients} clients",
                f"{rates[clients]:,.0f}",
                ratio(rates[clients] / max(1e-9, rates[FEW])),
                *map(milliseconds, (p50, p95, longest)),
                shown,
            ]
        )
    columns = ["", "answers per second", f"relative to {FEW} clients"]
    columns += ["p50, ms", "p95, ms", "longest, ms", "outcomes"]
    tables = [Table("Throughput and outcomes", columns, rows), *_memory(found)]
    settings = environment(gpu=False)
    many = found.turns[MANY]
    by_turn = ", ".join(f"{one['per_second']:,.0f}" for one in many)
    notes = [
        "The server of the inference image with a CPU endpoint's settings"
        f" ({settings['SAGEMAKER_MODEL_SERVER_WORKERS']} workers, one model, a queue of"
        f" {settings['MMS_JOB_QUEUE_SIZE']}), on this machine with the callers. Mixed requests:"
        " questions to the baked corpus, nine sentences, nearest neighbours, 32 texts, and one in a"
        f" hundred of some 150 kB. A caller waits {BUDGET_SECONDS:.0f} s, one in fifty"
        f" {IMPATIENT_SECONDS} s, and pauses as botocore does when it is refused.",
        f"{len(many)} turns of {found.turn_seconds:.0f} s with {MANY} clients; before and after"
        f" them one with {FEW}. Answers per second of {MANY} clients, turn by turn: {by_turn}.",
        "503: the queue is full. 429: a large request too many. 504: dropped because its time was"
        " over. Caller gone: it waited no longer.",
    ]
    if found.ages:
        oldest = max(age for age, _ in found.ages)
        late = sum(age > budget for age, budget in found.ages)
        beyond = max((age - budget for age, budget in found.ages if age > budget), default=0.0)
        notes.append(
            f"By the server's log the oldest request that was answered was {oldest:.2f} s old; of"
            f" {len(found.ages):,} answers {late:,} came after the caller's budget"
            f" ({milliseconds(beyond)} ms too late at worst: a batch that was running when it"
            f" ended). The container's log: {_counted(found.messages)}."
        )
    return Section("Under load", notes=notes, tables=tables)


def _memory(found: Found) -> list[Table]:
    # What warms up in the first turn says nothing about the rest.
    samples = [one for one in found.memory if one[0] >= found.turn_seconds] or found.memory
    if not samples:
        return []
    names = sorted({kind for _, by_kind in samples for kind in by_kind})
    rows = [
        [
            kind or "together",
            *(megabytes(_size(samples[place][1], kind)) for place in (0, -1)),
            megabytes(max(_size(by_kind, kind) for _, by_kind in samples)),
            f"{slope(samples, kind) / 1e6:+.2f}",
        ]
        for kind in (*names, None)
    ]
    columns = ["", "after the first turn, MB", "at the end, MB", "peak, MB", "slope, MB a minute"]
    return [Table(f"Memory with {MANY} clients (shared pages once)", columns, rows)]


def _counted(messages: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(messages.items()))
