"""The artifact's layout and manifest: the bake writes them, the server reads them."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from container.errors import LoadError
from container.machine import available_cpus

# Not manifest.json: multi-model-server takes any file of that name, at any depth, for a manifest
# in its legacy format, and stops.
MANIFEST = "bake-manifest.json"
WEIGHTS = "weights"
INDEX = "index"
CODE = "code"
VENDOR = "vendor"

# The manifest's own hash, over all its other values; so it stands for the whole artifact.
_SEAL = "sha256"


def read_manifest(model_dir: Path) -> dict[str, Any]:
    """Reads the manifest. Raises LoadError unless it is as the bake wrote it."""
    try:
        manifest = json.loads((model_dir / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LoadError(f"{MANIFEST} cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise LoadError(f"{MANIFEST} is not a JSON object")
    if _SEAL not in manifest:
        raise LoadError(
            f"{MANIFEST} has no sha256 of itself, so it is incomplete or of an earlier version of "
            "this app, whose artifacts only their own code can serve; deploy again"
        )
    if manifest != sealed(manifest):
        raise LoadError(f"{MANIFEST} is not as the bake wrote it: its sha256 does not match")
    return manifest


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the hash of its values."""
    values = {name: value for name, value in manifest.items() if name != _SEAL}
    text = json.dumps(values, sort_keys=True)
    return {**values, _SEAL: hashlib.sha256(text.encode()).hexdigest()}


def check_bake(manifest: Mapping[str, Any], bake_id: str | None) -> None:
    """Raises LoadError unless the artifact is of the bake `bake_id`; `None` accepts any."""
    if bake_id is not None and manifest.get("bake_id") != bake_id:
        raise LoadError(
            f"the artifact is of bake {manifest.get('bake_id')}; the Model names bake {bake_id}"
        )


def hash_files(model_dir: Path) -> Future[dict[str, str]]:
    """Begins to hash the files that are served; the result has each one's sha256 by its path.

    Not the code's, which has run by the time that it could check itself.
    """
    thread = ThreadPoolExecutor(1, "hash")
    try:
        return thread.submit(_file_hashes, model_dir)
    finally:
        thread.shutdown(wait=False)


def _file_hashes(model_dir: Path) -> dict[str, str]:
    files = [
        path
        for part in (WEIGHTS, INDEX)
        for path in (model_dir / part).rglob("*")
        if path.is_file()
    ]
    # The largest first, or it would keep one thread busy after the others have finished.
    files.sort(key=lambda path: -path.stat().st_size)
    with ThreadPoolExecutor(_threads(), "hash", _step_back) as threads:
        hashes = threads.map(file_hash, files)
        return {
            path.relative_to(model_dir).as_posix(): found
            for path, found in zip(files, hashes, strict=True)
        }


def _threads() -> int:
    """One or two: most of an artifact is two files, and a processor is left to load the model."""
    return min(2, max(1, available_cpus() - 1))


def _step_back() -> None:
    """Lets the threads that load the model go first."""
    if sys.platform == "linux":
        # Only there is this the priority of the calling thread and not of the process.
        os.nice(5)


def check_files(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raises LoadError unless the hashes of files are those in the manifest."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise LoadError(f"{name} is missing")
        if name not in expected:
            raise LoadError(f"{name} is not in the manifest")
        if found[name] != expected[name]:
            raise LoadError(f"{name} is not the file that the manifest names")


def file_hash(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        if not path.stat().st_size:  # which cannot be mapped
            return hashlib.sha256().hexdigest()
        # In one piece, without the interpreter's lock: reading block by block would ask for the
        # lock thousands of times, and wait for it each time while other threads import modules.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return hashlib.sha256(content).hexdigest()
