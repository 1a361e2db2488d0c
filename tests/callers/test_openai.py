"""OpenAI's clients get embeddings from the deployed API: another base URL and model suffice.

They run in an environment of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.local_app import ROOT, LocalApp

PYTHON = ROOT / ".venv-clients/bin/python"
ASKING = Path(__file__).with_name("asking.py")
MODEL = "huggingface-sentencesimilarity-all-MiniLM-L6-v2"


def ask(app: LocalApp, client: str) -> dict[str, Any]:
    """What asking.py prints."""
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": app.api["url"],
        "OPENAI_API_KEY": app.api["api_key"],
        "MODEL": MODEL,
    }
    done = subprocess.run(
        [PYTHON, ASKING, client], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    print(found.pop("package"), done.stderr)
    return found


@pytest.fixture(scope="module")
def expected(app: LocalApp) -> list[list[float]]:
    """The vectors of asking.py's texts, from our own path."""
    with app.client() as client:
        return client.embed(["How cute your dog is!", "Your dog is so cute.", "Ёлка 🎄"]).embeddings


def close(found: list[Any], wanted: list[Any]) -> bool:
    return found == [pytest.approx(vector, abs=1e-6) for vector in wanted]


def test_openai(app: LocalApp, expected: list[list[float]]) -> None:
    assert app.api["url"].endswith("/v1")
    found = ask(app, "openai")
    assert close(found["vectors"], expected)
    assert close([found["float"]], expected[:1])
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 12
    assert found["request_id"]
    assert found["models"] == [found["model"]] == [MODEL]
    wrong = found["wrong"]
    assert [each[:3] for each in wrong.values()] == [
        ["BadRequestError", "invalid_request", "dimensions"],
        ["BadRequestError", "invalid_request", "input"],
        ["NotFoundError", "model_not_found", "model"],
        ["BadRequestError", "invalid_request", "input.0"],
    ]
    assert "check_embedding_ctx_length=False" in wrong["tokens"][3]
    assert MODEL in wrong["model"][3]
    assert [status for status, _ in found["refused"].values()] == [403, 403]
    assert "API key is not valid" in found["refused"]["wrong"][1]


def test_langchain(app: LocalApp, expected: list[list[float]]) -> None:
    found = ask(app, "langchain")
    assert close(found["vectors"], expected)
    assert close([found["query"]], expected[:1])
    assert found["many"] == 700


def test_llama_index(app: LocalApp, expected: list[list[float]]) -> None:
    found = ask(app, "llama_index")
    assert close(found["vectors"], expected)
    assert close([found["query"]], expected[:1])
