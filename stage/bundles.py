"""Zip files that the stacks hand to Lambda and SageMaker, each named by its contents.

A bundle's hash covers the names and bytes of its files and nothing of the machine, so that the same
sources give the same template everywhere. stage/vendor.py has the packages from PyPI.
"""

from __future__ import annotations

import ast
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).parent.parent
BUILD_DIRECTORY = ROOT / ".build"


class BundleError(Exception):
    """A bundle cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Bundle:
    """A zip file and the hash of its contents (64 hex digits)."""

    path: Path
    hash: str


def function_bundle(module: str, root: Path = ROOT) -> Bundle:
    """The Lambda function whose handler is in `module`, with every module of ours it imports.

    And with the files in a folder `static` beside the handler. An edit elsewhere in `lambda/`
    therefore leaves this function as it is deployed.
    """
    files: dict[str, Path] = {}
    _add_module(module, (root / "lambda", root), files)
    package = (root / "lambda").joinpath(*module.split(".")[:-1])
    for file in package.glob("static/*"):
        files[file.relative_to(root / "lambda").as_posix()] = file
    return _source_bundle(module, files)


def _add_module(module: str, roots: Sequence[Path], files: dict[str, Path]) -> None:
    """Adds `module`, the packages around it and what they import, unless it is not ours."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        stem = "/".join(parts[:end])
        names = (f"{stem}.py", f"{stem}/__init__.py")
        places = ((name, root / name) for root in roots for name in names)
        found = next((place for place in places if place[1].is_file()), None)
        if found is None:
            return
        name, file = found
        if name not in files:
            files[name] = file
            for imported in _imports(file.read_bytes()):
                _add_module(imported, roots, files)


@cache
def _imports(source: bytes) -> tuple[str, ...]:
    """Dotted names of what a source imports; of `from a import b`, `a.b`, module or not.

    Cached, since most functions import the same modules.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(names)


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


def write_zip(path: Path, files: Mapping[str, Path], compression: int | None = None) -> None:
    """Zips `files` (name in the zip -> file) without times or owners.

    The zip appears whole or not at all, even on Ctrl-C or when two processes write it at once.

    Args:
        compression: zlib's level, 1 (fast) to 9 (small).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{uuid4().hex}.part")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name, file in sorted(files.items()):
                entry = zipfile.ZipInfo(name)
                entry.external_attr = 0o755 << 16  # Lambda refuses files it may not read
                archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED, compression)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
