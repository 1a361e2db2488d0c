"""The SageMaker SDK's own look-ups, in the environment that has it, against the lock."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools.refresh_lock import LOCK_FILE, TORCH, TRANSFORMERS

ROOT = Path(__file__).parents[2]
REGION = "us-west-2"
Lock = dict[str, Any]
_SCRIPT = """
import json, sys
from tools.sdk_lookups import disagreements
given = json.load(sys.stdin)
locks = given.pop("locks")
documents = {key: json.dumps(value).encode() for key, value in given.pop("documents").items()}
print(json.dumps([list(disagreements(lock, documents, **given)) for lock in locks]))
"""


def disagreements(locks: list[Lock], documents: dict[str, Any]) -> list[list[str]]:
    """Of each lock, in one process, since the SDK takes seconds to import."""
    given = {"region": REGION, "transformers": TRANSFORMERS, "torch": TORCH}
    done = subprocess.run(
        [ROOT / ".venv-walkthrough/bin/python", "-c", _SCRIPT],
        cwd=ROOT,
        input=json.dumps({"locks": locks, "documents": documents, **given}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def lock() -> Lock:
    """The committed lock, whose models are said to come from the documents below."""
    lock = json.loads(LOCK_FILE.read_text(encoding="utf-8"))
    for model_id, model in lock["models"].items():
        model["source"] = f"https://bucket/{spec_key(model_id)}"
    return lock


def spec_key(model_id: str) -> str:
    return f"community_models/{model_id}/specs.json"


def documents(lock: Lock) -> dict[str, Any]:
    """Manifest and specifications, in the SDK's layout, that say what the lock says."""
    specs = {
        spec_key(model_id): {
            "model_id": model_id,
            "url": "",
            "version": model["version"],
            "min_sdk_version": "2.0.0",
            "hosting_artifact_key": model["weights_key"],
            "hosting_prepacked_artifact_key": model["prepacked_key"],
            "default_inference_instance_type": model["default_instance_type"],
            "supported_inference_instance_types": model["instance_types"],
        }
        for model_id, model in lock["models"].items()
    }
    headers = [
        {
            "model_id": spec["model_id"],
            "version": version,
            "min_version": "2.0.0",
            "spec_key": key,
        }
        for key, spec in specs.items()
        for version in ("0.9.0", spec["version"])
    ]
    return {"models_manifest.json": headers, **specs}


def test_the_sdk_finds_what_the_lock_has_and_each_difference_is_named(lock) -> None:
    other = copy.deepcopy(lock)
    ireland = {"account": "111111111111", "url_suffix": "amazonaws.com"}
    other["ecr_registries"] = {"eu-west-1": ireland}
    (model_id, model), *_ = other["models"].items()
    model |= {"prepacked_key": "elsewhere/", "instance_types": ["ml.g5.2xlarge"]}
    none, some = disagreements([lock, other], documents(lock))
    assert none == []
    assert [line.partition(":")[0] for line in some] == [
        "ecr_registries.eu-west-1",
        "ecr_registries.eu-west-1",
        f"models.{model_id}.prepacked_key",
        f"models.{model_id}.instance_types",
    ]
