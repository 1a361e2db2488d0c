"""The bill of materials: valid, the same each time, and complete."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from stage.settings import load_settings
from stage.vendor import CONTAINER_PACKAGES, LAYER, TOKEN_LAYER
from tests.support.synthesis import ROOT, with_everything
from tools.sbom import bill_of_materials

WITH_TOKENS = bill_of_materials(with_everything("prod"))


def components(document: str) -> dict[str, dict[str, Any]]:
    return {each["bom-ref"]: each for each in json.loads(document)["components"]}


def test_it_is_valid() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(WITH_TOKENS) is None
    broken = WITH_TOKENS.replace('"type": "library"', '"type": "thing"', 1)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


@pytest.mark.parametrize(
    ("part", "lock"),
    [
        ("layer", LAYER.lock),
        ("token-layer", TOKEN_LAYER.lock),
        ("container", CONTAINER_PACKAGES.lock),
    ],
)
def test_every_locked_package_is_in_it_with_every_hash(part: str, lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    listed = [c for ref, c in components(WITH_TOKENS).items() if ref.startswith(f"{part}/")]
    assert {f"{c['name']}=={c['version']}" for c in listed} == set(
        re.findall(r"^[\w.-]+==[^ ]+", text, re.MULTILINE)
    )
    assert sorted(h["content"] for c in listed for h in c["externalReferences"][0]["hashes"]) == (
        sorted(re.findall(r"sha256:(\w+)", text))
    )
    (depends_on,) = (
        each["dependsOn"] for each in json.loads(WITH_TOKENS)["dependencies"] if each["ref"] == part
    )
    assert set(depends_on) == {c["bom-ref"] for c in listed}


def test_the_layer_for_tokens_is_there_only_with_them() -> None:
    dev = load_settings("dev")
    assert dev.api.auth == "api_key"
    assert "token-layer" not in components(bill_of_materials(dev))


def test_weights_and_images_are_those_of_the_stage() -> None:
    prod = load_settings("prod")
    found = components(bill_of_materials(prod))
    images = {prod.lock.image_uri(prod.region, gpu=gpu) for gpu in (True, False)}
    assert {ref for ref, c in found.items() if c["type"] == "container"} == images
    (model,) = (c for c in found.values() if c["type"] == "machine-learning-model")
    assert (model["name"], model["version"]) == (prod.model.id, prod.jumpstart_model.version)
    assert model["externalReferences"][0]["url"].endswith(prod.jumpstart_model.weights_key)


def test_it_is_the_same_each_time(tmp_path: Path) -> None:
    """In a process whose hashes of strings differ."""
    output = tmp_path / "new/sbom.json"
    command = [sys.executable, "-m", "tools.sbom", "--stage", "prod", str(output)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert output.read_text(encoding="utf-8") == bill_of_materials(load_settings("prod"))


def test_an_unknown_stage_is_an_error_without_a_file(tmp_path: Path) -> None:
    output = tmp_path / "sbom.json"
    command = [sys.executable, "-m", "tools.sbom", "--stage", "nowhere", str(output)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()
