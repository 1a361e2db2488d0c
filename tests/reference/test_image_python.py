"""The container code under the image's Python, with openvino vendored as in the image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from container.serving.service import Service
from stage.vendor import CONTAINER_PACKAGES
from tests.support.container import BakeRun, faq_csv, minilm

SERVE = """
import sys
sys.path.insert(0, sys.argv[1] + "/code")
import inference
service = inference.model_fn(sys.argv[1])
import openvino, orjson
for package in (openvino, orjson):
    assert package.__file__.startswith(sys.argv[1] + "/code/vendor/"), package.__file__
for line in sys.stdin:
    print(inference.transform_fn(service, line, "application/json", "*/*").decode())
"""
PROBE = "import sys, numpy; print(sys.version_info[:2], numpy.__version__)"


@pytest.fixture(scope="module")
def image_python() -> str:
    """A Python 3.12 with the packages of requirements/image.txt (`make test-reference`)."""
    return os.environ["IMAGE_PYTHON"]


@pytest.fixture(scope="module")
def run(image_python, tmp_path_factory):
    """A bake with the very packages that a deployment uploads."""
    run = BakeRun(tmp_path_factory.mktemp("image"), minilm(), faq_csv())
    shutil.copy(CONTAINER_PACKAGES.path, run.base / "input" / "data" / "vendor" / "vendor.zip")
    status, output = run.run(image_python)
    assert status == 0, output
    return run


def test_it_is_the_images_python(image_python):
    python = [image_python, "-c", PROBE]
    found = subprocess.run(python, capture_output=True, text=True, check=True).stdout
    assert found.startswith("(3, 12) 1.26.")


def test_it_bakes_and_serves_like_this_python(image_python, run, tmp_path):
    manifest = json.loads((run.model / "bake-manifest.json").read_text("utf-8"))
    assert manifest["libraries"]["python"].startswith("3.12.")
    assert manifest["libraries"]["openvino"]
    bodies = [
        {"queries": [probe["query"]], "top_k": 3, "mode": "nn_train_data"}
        for probe in manifest["probes"]
    ]
    result = subprocess.run(
        [image_python, "-c", SERVE, str(run.model)],
        cwd=tmp_path,
        input="".join(json.dumps(body) + "\n" for body in bodies),
        env={"PATH": os.environ["PATH"], "BAKE_ID": "bake-1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = Service.open(run.model, "bake-1")
    lines = result.stdout.splitlines()
    assert len(lines) == len(bodies) == 7
    for body, line in zip(bodies, lines, strict=True):
        (theirs,) = json.loads(line)
        (ours,) = json.loads(here.answer(json.dumps(body), "application/json"))
        assert [match["id"] for match in theirs] == [match["id"] for match in ours]
        scores = [match["score"] for match in theirs]
        assert scores == pytest.approx([match["score"] for match in ours], abs=1e-5)
