"""Times contenders side by side: each in its own process, in turn, within one run.

A machine's speed drifts (other processes, frequency, heat), so contenders are measured in
alternation, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).parent.parent
# PyTorch's threads spin for a while after their work, on the processors that the next one needs.
PAUSE_SECONDS = 0.3
_LOG_TAIL = 2000


class BenchError(Exception):
    """A measurement could not be made; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One side of a comparison.

    `python` is its interpreter; `target` the `module:function` in bench/contenders that prepares
    it, called with `arguments`, which are JSON. `environment` adds to the current one.
    """

    name: str
    python: str
    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


class Answer(NamedTuple):
    """The result of one turn: the seconds of each run, the value of the last."""

    seconds: Sequence[float]
    value: Any
    peak_bytes: int


@dataclass
class Samples:
    """A contender's seconds at one task, round by round."""

    rounds: list[Sequence[float]] = field(default_factory=list)
    peak_bytes: int = 0

    def add(self, answer: Answer) -> None:
        """Adds a round."""
        self.rounds.append(answer.seconds)
        self.peak_bytes = max(self.peak_bytes, answer.peak_bytes)

    @property
    def median(self) -> float:
        """The median of all runs, in seconds."""
        return median(seconds for one in self.rounds for seconds in one)


def times_faster(ours: Samples, theirs: Samples) -> float:
    """How many times faster `ours` is: the median of the ratios of the rounds' medians."""
    return median(
        median(their) / median(our) for our, their in zip(ours.rounds, theirs.rounds, strict=True)
    )


class Process:
    """A contender's process, see bench.child. Appends its samples to `samples_file`, if set."""

    samples_file: Path | None = None

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed on exit
        self._process = subprocess.Popen(
            [
                *(contender.python, "-m", "bench.child", contender.target),
                json.dumps(contender.arguments),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **contender.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()
        self._log.close()

    def run(self, task: str, times: int = 1, save: Path | None = None) -> Answer:
        """Runs a task `times` times. Raises BenchError with what the process printed last."""
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"task": task, "times": times, "save": None if save is None else str(save)}
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._log.seek(0)
            printed = self._log.read().decode("utf-8", "replace")[-_LOG_TAIL:].strip()
            raise BenchError(f"{self.contender.name}: {task} failed:\n{printed}")
        answer = json.loads(line)
        if self.samples_file is not None:
            sample = {"contender": self.contender.name, "task": task, **answer}
            with self.samples_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(sample) + "\n")
        return Answer(**answer)


def alternate(
    processes: Sequence[Process],
    task: str,
    *,
    rounds: int,
    times: int,
    done: Callable[[], None] = lambda: None,
    save: Path | None = None,
) -> dict[str, Samples]:
    """Each process's samples at a task by contender, after a first run that does not count.

    `times` is the number of runs in a turn. `save` is a folder for what the first runs return, as
    `<contender>-<task>.npy`.
    """
    found = {process.contender.name: Samples() for process in processes}
    for process in processes:
        process.run(task, save=save and save / f"{process.contender.name}-{task}.npy")
    for _ in range(rounds):
        for process in processes:
            time.sleep(PAUSE_SECONDS)
            found[process.contender.name].add(process.run(task, times))
            done()
    return found


def from_start(
    contenders: Sequence[Contender],
    task: str,
    *,
    rounds: int,
    done: Callable[[], None] = lambda: None,
    inside: bool = False,
) -> dict[str, Samples]:
    """Samples of fresh processes, from start to the task's end, imports included.

    A first round, which does not count, brings files into the page cache. `inside` leaves out the
    interpreter's start and counts only the task's own seconds.
    """
    found = {contender.name: Samples() for contender in contenders}
    for number in range(rounds + 1):
        for contender in contenders:
            time.sleep(PAUSE_SECONDS)
            began = time.perf_counter()
            with Process(contender) as process:
                answer = process.run(task)
                seconds = time.perf_counter() - began
            if number:
                found[contender.name].add(answer if inside else answer._replace(seconds=[seconds]))
            done()
    return found
