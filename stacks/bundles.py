"""Zip files that the stacks hand to Lambda and SageMaker, each named by what is in it.

A bundle's hash covers names and bytes of its files and nothing of the machine, so that the same
sources give the same template everywhere. Packages from PyPI are unpacked beforehand, by
`make install` (tools/vendor.py); synth only reads the result.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD_DIRECTORY = ROOT / ".build"


class BundleError(Exception):
    """A bundle cannot be made; the message says which command mends it."""


@dataclass(frozen=True)
class Bundle:
    """A zip file and the hash of its contents (64 hex digits)."""

    path: Path
    hash: str


@dataclass(frozen=True)
class Vendored:
    """Packages from PyPI for a platform that is not this machine's: Linux x86_64.

    name: of the zip. lock: the hash-locked requirements. python: the platform's version.
    folder: where in the zip the packages lie. left_out: patterns of files not needed there.
    """

    name: str
    lock: Path
    python: str
    folder: str = ""
    left_out: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """64 hex digits: the lock has hashes, so lock and rules decide the contents."""
        rules = repr((self.python, self.folder, self.left_out))
        return hashlib.sha256(self.lock.read_bytes() + rules.encode()).hexdigest()

    @property
    def path(self) -> Path:
        """Where the zip lies once tools/vendor.py has made it."""
        return BUILD_DIRECTORY / f"{self.name}-{self.key[:16]}.zip"


# What differs from machine to machine, and what only pip needs.
_PIP_ONLY = (
    "bin",
    "**/__pycache__",
    "*.dist-info/RECORD",
    "*.dist-info/REQUESTED",
    "*.dist-info/INSTALLER",
    "*.dist-info/direct_url.json",
)
# python/ is where Lambda looks for a layer's Python packages.
LAYER = Vendored("layer", ROOT / "requirements/lambda.txt", "3.13", "python/", _PIP_ONLY)
# Of OpenVINO only the core and the CPU plugin: a third of the wheel.
CONTAINER_PACKAGES = Vendored(
    "vendor",
    ROOT / "requirements/container.txt",
    "3.12",
    left_out=(
        *_PIP_ONLY,
        "openvino/libs/*intel_gpu*",
        "openvino/libs/*intel_npu*",
        "openvino/libs/*_frontend.so*",
        "openvino/libs/*auto*",
        "openvino/libs/*hetero*",
        "openvino/libs/cache.json",
        "openvino/frontend/*/",
    ),
)


def vendored_bundle(vendored: Vendored) -> Bundle:
    """The packages as tools/vendor.py unpacked them. Raises BundleError when it has not."""
    if not vendored.path.is_file():
        raise BundleError(
            f"{vendored.path.relative_to(ROOT)} is missing: run `make install`, which unpacks"
            f" the packages of {vendored.lock.relative_to(ROOT)}."
        )
    return Bundle(vendored.path, vendored.key)


def function_bundle(name: str) -> Bundle:
    """The Lambda function `lambda/<name>/` beside the modules of `lambda/shared/`."""
    return _source_bundle(name, ("", ROOT / "lambda/shared"), ("", ROOT / "lambda" / name))


def container_bundle() -> Bundle:
    """What runs inside SageMaker: the packages `container` and `corpus`, and the zip's entry."""
    return _source_bundle(
        "container",
        ("__main__.py", ROOT / "container/__main__.py"),
        ("container/", ROOT / "container"),
        ("corpus/", ROOT / "corpus"),
    )


def _source_bundle(name: str, *parts: tuple[str, Path]) -> Bundle:
    """Zips our own Python sources into `.build/<name>-<hash>.zip`, unless it is there.

    parts: place in the zip, and the file or folder that goes there.
    """
    files: dict[str, Path] = {}
    for place, source in parts:
        if source.is_file():
            files[place] = source
        for file in source.rglob("*.py"):
            files[place + file.relative_to(source).as_posix()] = file
    digest = hashlib.sha256()
    for entry, file in sorted(files.items()):
        content = file.read_bytes()
        digest.update(f"{entry}\0{len(content)}\0".encode() + content)
    path = BUILD_DIRECTORY / f"{name}-{digest.hexdigest()[:16]}.zip"
    if not path.is_file():
        write_zip(path, files)
    return Bundle(path, digest.hexdigest())


def write_zip(path: Path, files: Mapping[str, Path]) -> None:
    """Zips `files` (name in the zip -> file) without times or owners.

    The zip appears whole or not at all, so that Ctrl-C leaves nothing half written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")  # two runs may zip the same at once
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(files.items()):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o755 << 16  # Lambda refuses files it may not read
            with file.open("rb") as content, archive.open(entry, "w") as to:
                shutil.copyfileobj(content, to)
    part.replace(path)
