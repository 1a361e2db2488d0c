"""Times contenders beside each other: each in a process of its own, in turn, within one run.

A machine's speed drifts (other processes, frequency, heat), so what is compared is measured in
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
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent
# PyTorch's threads spin for a while after their work, on the processors the next one needs.
PAUSE_SECONDS = 0.3
_LOG_TAIL = 2000


class BenchError(Exception):
    """A measurement could not be made; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One side of a comparison.

    python: its interpreter. target: `module:function` that prepares it, in bench/contenders.
    arguments: the function's, as JSON has them. environment: beside the one that is there.
    """

    name: str
    python: str
    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What one turn of a contender came to: seconds of each run, the last one's value."""

    seconds: tuple[float, ...]
    value: Any
    peak_bytes: int


@dataclass
class Samples:
    """A contender at one task: the seconds of each run, round by round."""

    rounds: list[tuple[float, ...]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    peak_bytes: int = 0

    def add(self, answer: Answer) -> None:
        """A further round."""
        self.rounds.append(answer.seconds)
        self.values.append(answer.value)
        self.peak_bytes = max(self.peak_bytes, answer.peak_bytes)

    @property
    def median(self) -> float:
        """Seconds, the median of all runs."""
        return median(seconds for one in self.rounds for seconds in one)

    def to_json(self) -> dict[str, Any]:
        """For the report's JSON; seconds to the microsecond."""
        return {
            "median_seconds": round(self.median, 6),
            "rounds_seconds": [[round(seconds, 6) for seconds in one] for one in self.rounds],
            "peak_bytes": self.peak_bytes,
        }


def times_faster(ours: Samples, theirs: Samples) -> float:
    """How many times faster ours is: the median of the ratios of the rounds' medians."""
    return median(
        median(their) / median(our) for our, their in zip(ours.rounds, theirs.rounds, strict=True)
    )


class Process:
    """A contender's process; see bench.child."""

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()
        self._log.close()

    def run(self, task: str, times: int = 1, save: Path | None = None) -> Answer:
        """Runs a task so many times. Raises BenchError with what the process printed last."""
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
            told = self._log.read().decode("utf-8", "replace")[-_LOG_TAIL:].strip()
            raise BenchError(f"{self.contender.name}: {task} failed:\n{told}")
        answer = json.loads(line)
        return Answer(tuple(answer["seconds"]), answer["value"], answer["peak_bytes"])


def alternate(
    processes: Sequence[Process],
    task: str,
    *,
    rounds: int,
    times: int,
    done: Callable[[], None] = lambda: None,
    save: Mapping[str, Path] | None = None,
) -> dict[str, Samples]:
    """Each process's samples at a task, by contender's name, after one run that does not count.

    times: runs in a turn. save: files that take what the first run returned, by contender.
    """
    found = {process.contender.name: Samples() for process in processes}
    for process in processes:
        process.run(task, save=(save or {}).get(process.contender.name))
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
    """Samples of fresh processes: from start to the task's end, all imports included.

    A first round that does not count brings files into the page cache. inside: only the task's
    own seconds, without the interpreter's start.
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
                whole = answer.seconds if inside else (seconds,)
                found[contender.name].add(Answer(whole, answer.value, answer.peak_bytes))
            done()
    return found
