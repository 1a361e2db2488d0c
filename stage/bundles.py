"""Zip files that the stacks hand to Lambda and SageMaker, each named by what is in it.

A bundle's hash covers names and bytes of its files and nothing of the machine, so that the same
sources give the same template everywhere. Packages from PyPI are unpacked beforehand, by
`make install` (stage/vendor.py); synth only reads the result.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
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
        """Where the zip lies once stage/vendor.py has made it."""
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
    """The packages as stage/vendor.py unpacked them. Raises BundleError when it has not."""
    if not vendored.path.is_file():
        raise BundleError(
            f"{vendored.path.relative_to(ROOT)} is missing: run `make install`, which unpacks"
            f" the packages of {vendored.lock.relative_to(ROOT)}."
        )
    return Bundle(vendored.path, vendored.key)


def function_bundle(module: str, root: Path = ROOT) -> Bundle:
    """The Lambda function whose handler is in `module`, with every module of ours it imports.

    An edit elsewhere in `lambda/` therefore leaves this function as it is deployed.
    """
    files: dict[str, Path] = {}
    _add_module(module, (root / "lambda", root), files)
    return _source_bundle(module, files)


def _add_module(module: str, roots: Sequence[Path], files: dict[str, Path]) -> None:
    """Adds `module`, the packages around it and what they import, unless it is not ours."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        stem = "/".join(parts[:end])
        names = (f"{stem}.py", f"{stem}/__init__.py")
        found = [(name, root / name) for root in roots for name in names if (root / name).is_file()]
        for name, file in found[:1]:
            if name not in files:
                files[name] = file
                for imported in _imports(file):
                    _add_module(imported, roots, files)


def _imports(file: Path) -> Iterator[str]:
    """Dotted names of what a source file imports; of `from a import b`, `a.b`, module or not."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def container_bundle() -> Bundle:
    """What runs inside SageMaker: the packages `container` and `corpus`, and the zip's entry."""
    files = {"__main__.py": ROOT / "container/__main__.py"}
    for package in ("container", "corpus"):
        for file in (ROOT / package).rglob("*.py"):
            files[file.relative_to(ROOT).as_posix()] = file
    return _source_bundle("container", files)


def _source_bundle(name: str, files: Mapping[str, Path]) -> Bundle:
    """Zips our own Python sources into `.build/<name>-<hash>.zip`, unless it is there.

    files: place in the zip -> file.
    """
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
