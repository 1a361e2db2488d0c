"""A failure to load ends the server; here the process itself, since no Java is above it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

SERVER = """
import sys
sys.path.insert(0, sys.argv[1] + "/code")
import inference
service = inference.model_fn(sys.argv[1])
print("serving", inference.transform_fn(service, '{"mode":"info"}', None, None)[:12])
"""


def serve(model, **environment):
    return subprocess.run(
        [sys.executable, "-c", SERVER, str(model)],
        cwd=model,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def artifact(tmp_path, baked):
    return shutil.copytree(baked, tmp_path / "model")


def test_the_artifact_alone_serves(artifact):
    result = serve(artifact, BAKE_ID="bake-1")
    assert result.stdout == 'serving {"bake_id":"\n', result.stderr


def change_manifest(model, change):
    file = model / "bake-manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    change(manifest)
    file.write_text(json.dumps(manifest), "utf-8")


def flip_last_byte(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda m: (m / "bake-manifest.json").unlink(), "bake-manifest.json cannot be read"),
        (lambda m: (m / "bake-manifest.json").write_text("[]"), "is not a JSON object"),
        (lambda m: change_manifest(m, lambda f: f.pop("model")), "the manifest is incomplete"),
        (
            lambda m: change_manifest(m, lambda f: f["model"].update(dimension=385)),
            "the manifest says 6 entries of float32 and dimension 385",
        ),
        (lambda m: (m / "weights" / "model.safetensors").unlink(), "the artifact is broken"),
        (
            lambda m: flip_last_byte(m / "weights" / "model.safetensors"),
            "weights/model.safetensors is not the file that the manifest names",
        ),
        (lambda m: (m / "index" / "offsets.npy").unlink(), "the index cannot be read"),
        (lambda m: (m / "code" / "container" / "serving.py").unlink(), "ModuleNotFoundError"),
        (lambda m: (m / "code" / "container" / "serving.py").write_text("!"), "SyntaxError"),
    ],
)
def test_a_broken_artifact_ends_the_server(artifact, damage, words):
    damage(artifact)
    result = serve(artifact, BAKE_ID="bake-1")
    assert result.returncode == 1
    assert "serving" not in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("faq-search cannot")]
    assert words in line
    assert line.endswith("Ending the server.")


def test_an_artifact_of_another_bake_ends_the_server(artifact):
    result = serve(artifact, BAKE_ID="bake-2")
    assert result.returncode == 1
    assert "the artifact is of bake bake-1; the Model names bake bake-2" in result.stderr
