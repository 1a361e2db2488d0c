"""From nothing to the first answer: our artifact, and the same model in sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Tasks = dict[str, Callable[[], Any]]


def ours(artifact: str, question: str) -> Tasks:
    """What the server does: hashes checked, model and index opened, warmed up, asked."""

    def answer() -> None:
        from container.serving.service import Service  # noqa: PLC0415

        service = Service.open(Path(artifact), None)
        body = {"queries": [question], "top_k": 3, "mode": "nn_train_data"}
        service.answer(json.dumps(body), "application/json")

    return {"answer": answer}


def sentence_transformers(model: str, question: str) -> Tasks:
    """Loads the model and encodes the question; nothing is searched."""

    def answer() -> None:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        SentenceTransformer(model, device="cpu").encode([question])

    return {"answer": answer}


def fastembed(model: str, dimension: int, question: str) -> Tasks:
    """The same in fastembed."""

    def answer() -> None:
        from bench.contenders.encoders import open_fastembed  # noqa: PLC0415

        list(open_fastembed(model, dimension).embed([question]))

    return {"answer": answer}
