"""`pip install .` in a fresh environment: what comes with it, and that it works there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stage.installer import find_uv, pip_options, uv_environment

ROOT = Path(__file__).parents[2]
IMPORT_ALL = """
import importlib, pkgutil, sys
import faq_search
for module in pkgutil.walk_packages(faq_search.__path__, "faq_search."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from faq_search.evaluate import SAMPLE, SAMPLE_PARAPHRASES, read_corpus
assert len(read_corpus(SAMPLE)) == 203 and SAMPLE_PARAPHRASES.exists()
assert not {"contract", "corpus"} & set(sys.modules)
print(*sorted(set(sys.modules)))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment with the wheel and what it depends on, in the locked versions."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*build, "--directory", folder], cwd=ROOT, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    uv = find_uv(Path(sys.executable))
    environment = uv_environment(os.environ, pip_options(), python)
    install = (
        [*uv, "pip", "install", "--python", python]
        if uv
        else [sys.executable, "-m", "pip", "--python", python, "install"]
    )
    options = ["--quiet", "--constraint", ROOT / "requirements.txt"]
    subprocess.run([*install, *options, wheel], env=environment, cwd=folder, check=True)
    return folder / "venv"


def call(installed, *arguments, **environment):
    return subprocess.run(
        [installed / "bin" / arguments[0], *arguments[1:]],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_runs(installed):
    version = call(installed, "faq-search", "--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert call(installed, "python", "-m", "faq_search", "--version").stdout == version.stdout
    assert "similarity" in call(installed, "faq-search", "--help").stdout
    nobody = call(
        *(installed, "faq-search", "Is R supported?"),
        **{"FAQ_SEARCH_URL": "http://127.0.0.1:9", "FAQ_SEARCH_API_KEY": "k"},
    )
    assert nobody.returncode == 1
    assert "cannot be reached" in nobody.stderr


def test_what_is_optional_is_named_where_it_is_missing(installed):
    known = {"FAQ_SEARCH_URL": "http://127.0.0.1:9"}
    for options, package in ((["--iam"], "botocore"), (["--stage", "dev"], "botocore")):
        failed = call(installed, "faq-search", "health", *options, **known)
        assert failed.returncode == 1
        assert f"pip install {package}" in failed.stderr


def test_every_module_is_there_and_takes_no_name_but_its_own(installed):
    found = call(installed, "python", "-c", IMPORT_ALL)
    assert found.returncode == 0, found.stderr
    assert {"faq_search._shared.contract.margin", "httpx"} <= set(found.stdout.split())
    (packages,) = installed.glob("lib/python*/site-packages")
    assert (packages / "faq_search/py.typed").exists()
    assert not {"contract", "corpus", "tools"} & {path.name for path in packages.iterdir()}
    assert not (packages / "faq_search/_shared/corpus/fetch.py").exists(), "it is not needed"
