"""A server as people write it around sentence-transformers: `python -m … MODEL PORT`."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class Texts(BaseModel):
    """A request's body."""

    input: list[str]


def application(model: str) -> FastAPI:
    """The application; FastAPI runs its function in one of its threads."""
    encoder = SentenceTransformer(model, device="cpu")
    app = FastAPI()

    def embeddings(texts: Texts) -> dict[str, list[list[float]]]:
        return {"embeddings": encoder.encode(texts.input, show_progress_bar=False).tolist()}

    app.add_api_route("/embeddings", embeddings, methods=["POST"])
    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), port=int(sys.argv[2]), log_level="warning")
