"""Bundles: the same sources give the same zip; a missing one says what to run."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from stacks import bundles
from stacks.bundles import LAYER, BundleError, container_bundle, function_bundle, write_zip


def test_a_functions_bundle_has_its_handler_and_the_shared_modules() -> None:
    names = zipfile.ZipFile(function_bundle("smoke_test").path).namelist()
    assert {"handler.py", "custom_resource.py"} <= set(names)


def test_the_containers_bundle_starts_and_carries_the_reader_but_no_sample() -> None:
    names = zipfile.ZipFile(container_bundle().path).namelist()
    assert {"__main__.py", "container/inference.py", "corpus/reader.py"} <= set(names)
    assert not [n for n in names if n.endswith(".csv") or "__pycache__" in n]


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


def test_a_changed_source_has_another_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "ROOT", tmp_path)
    monkeypatch.setattr(bundles, "BUILD_DIRECTORY", tmp_path / ".build")
    folder = tmp_path / "lambda/some"
    folder.mkdir(parents=True)
    (folder / "handler.py").write_text("1")
    before = function_bundle("some")
    assert function_bundle("some") == before
    (folder / "handler.py").write_text("2")
    after = function_bundle("some")
    assert after.hash != before.hash
    assert zipfile.ZipFile(after.path).read("handler.py") == b"2"


def test_a_renamed_or_divided_source_has_another_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "ROOT", tmp_path)
    monkeypatch.setattr(bundles, "BUILD_DIRECTORY", tmp_path / ".build")
    folder = tmp_path / "lambda/some"
    folder.mkdir(parents=True)
    (folder / "handler.py").write_text("12")
    hashes = {function_bundle("some").hash}
    (folder / "handler.py").rename(folder / "other.py")
    hashes.add(function_bundle("some").hash)
    (folder / "other.py").write_text("1")
    (folder / "second.py").write_text("2")
    hashes.add(function_bundle("some").hash)
    assert len(hashes) == 3


def test_missing_packages_say_which_command_unpacks_them() -> None:
    with pytest.raises(BundleError, match=r"run `make install`.*requirements/lambda.txt"):
        bundles.vendored_bundle(replace(LAYER, name="never-made"))
