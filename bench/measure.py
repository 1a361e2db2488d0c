"""Contenders, each in its own process, and their samples."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).parent.parent
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
