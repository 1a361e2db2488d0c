"""An artifact of a tiny model, made as a training job makes it, for parts that break things."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.support.container import BakeRun, write_tiny_model

BAKE = "bake-1"
# Enough that a damaged entry shows, and with a few letters each, which the model knows.
_ENTRIES = 40


def corpus() -> bytes:
    """JSON lines with categories."""
    lines = [
        f'{{"id": "{number}", "question": "what is {chr(97 + number % 26)} {number}", '
        f'"answer": "answer {number} of {"hello world " * (number % 4)}", '
        f'"category": "{("odd", "even")[number % 2]}"}}'
        for number in range(_ENTRIES)
    ]
    return "\n".join(lines).encode() + b"\n"


def tiny_bake(folder: Path) -> BakeRun:
    """A bake that has not run."""
    if not (folder / "tiny").exists():
        write_tiny_model(folder / "tiny")
    return BakeRun(
        folder / "ml", folder / "tiny", corpus(), "corpus.jsonl", dimension="32", model_id="tiny"
    )


def artifact(folder: Path) -> Path:
    """A baked artifact below `folder`, made once."""
    model = folder / "lab/ml/model"
    if not model.exists():
        (folder / "lab").mkdir(exist_ok=True)
        status, output = tiny_bake(folder / "lab").run()
        assert status == 0, output
    return model


def hashes(folder: Path) -> dict[str, str]:
    """Every file below a folder, and its hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
