"""Bundles: the same sources give the same zip."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from stage import bundles
from stage.bundles import container_bundle, function_bundle, write_zip


def test_a_functions_bundle_has_what_it_imports_and_no_more() -> None:
    names = zipfile.ZipFile(function_bundle("examination.smoke_test").path).namelist()
    ours = {"__init__.py", "endpoint.py", "examine.py", "smoke_test.py"}
    assert {name for name in names if "/" in name} == {f"examination/{name}" for name in ours}
    assert "custom_resource.py" in names


def test_the_containers_bundle_starts_and_carries_the_reader_but_no_sample() -> None:
    names = zipfile.ZipFile(container_bundle().path).namelist()
    assert {"__main__.py", "container/serving/inference.py", "corpus/reader.py"} <= set(names)
    assert not [n for n in names if n.endswith(".csv") or "__pycache__" in n]


def test_a_functions_bundle_has_the_files_that_it_serves() -> None:
    names = zipfile.ZipFile(function_bundle("console.handler").path).namelist()
    assert {"console/handler.py", "console/static/index.html"} <= set(names)
    others = zipfile.ZipFile(function_bundle("examination.smoke_test").path).namelist()
    assert not [name for name in others if "static" in name]


def test_bytes_do_not_depend_on_times_or_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("1")
    second.write_text("2")
    write_zip(tmp_path / "one.zip", {"a.py": first, "b.py": second})
    os.utime(first, (0, 10**9))
    first.chmod(0o600)
    write_zip(tmp_path / "two.zip", {"b.py": second, "a.py": first})
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a package in lambda/ and one in contract/."""
    monkeypatch.setattr(bundles, "BUILD_DIRECTORY", tmp_path / ".build")
    for name, text in {
        "lambda/some/__init__.py": "",
        "lambda/some/handler.py": "import json\nfrom some import late\n",
        "lambda/some/late.py": "def f():\n    from contract.agreed import NAME\n",
        "lambda/some/other.py": "",
        "contract/__init__.py": "",
        "contract/agreed.py": "NAME = 1",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_imports_are_followed_through_packages_and_functions(sources: Path) -> None:
    names = zipfile.ZipFile(function_bundle("some.handler", sources).path).namelist()
    assert names == [
        *("contract/__init__.py", "contract/agreed.py"),
        *("some/__init__.py", "some/handler.py", "some/late.py"),
    ]


def test_a_changed_source_has_another_hash(sources: Path) -> None:
    before = function_bundle("some.handler", sources)
    assert function_bundle("some.handler", sources) == before
    (sources / "contract/agreed.py").write_text("NAME = 2")
    after = function_bundle("some.handler", sources)
    assert after.hash != before.hash
    assert zipfile.ZipFile(after.path).read("contract/agreed.py") == b"NAME = 2"


def test_an_edit_of_what_it_does_not_import_leaves_the_hash(sources: Path) -> None:
    before = function_bundle("some.handler", sources)
    (sources / "lambda/some/other.py").write_text("changed = True")
    assert function_bundle("some.handler", sources) == before


def test_a_renamed_or_divided_source_has_another_hash(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("12")
    second.write_text("2")
    hashes = {bundles._source_bundle("x", {name: first}).hash for name in ("a.py", "b.py")}
    first.write_text("1")
    hashes.add(bundles._source_bundle("x", {"a.py": first, "b.py": second}).hash)
    assert len(hashes) == 3
