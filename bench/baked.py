"""Bakes the sample corpus as a training job does, in a folder laid out like one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from bench.texts import SAMPLE
from stage.bundles import container_bundle


def hyperparameters_of(base: Path) -> Path:
    """The file with a job's hyperparameters."""
    return base / "input" / "config" / "hyperparameters.json"


def bake_sample(base: Path, weights: Path, dimension: int, **settings: str) -> None:
    """Bakes into `base`/model with the model in the folder `weights`.

    `settings` adds hyperparameters. Raises RuntimeError with what the job printed last.
    """
    data = base / "input" / "data"
    for channel in ("code", "vendor", "corpus"):
        (data / channel).mkdir(parents=True)
    (data / "weights").symlink_to(weights)
    shutil.copyfile(SAMPLE, data / "corpus" / SAMPLE.name)
    code = data / "code" / "code.zip"
    shutil.copyfile(container_bundle().path, code)
    # Empty: here the packages come from the environment.
    zipfile.ZipFile(data / "vendor" / "vendor.zip", "w").close()
    write_hyperparameters(base, dimension, **settings)
    done = subprocess.run(
        [sys.executable, str(code)],
        cwd=base,
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the bake failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def write_hyperparameters(base: Path, dimension: int, **settings: str) -> None:
    """Writes the file with the job's hyperparameters."""
    hyperparameters_of(base).parent.mkdir(parents=True)
    values = {
        "bake_id": "bench",
        "model_id": "huggingface-sentencesimilarity-all-MiniLM-L6-v2",
        "model_version": "0",
        "dimension": str(dimension),
        "corpus_sha256": hashlib.sha256(SAMPLE.read_bytes()).hexdigest(),
        **settings,
    }
    hyperparameters_of(base).write_text(json.dumps(values))
