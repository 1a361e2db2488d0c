"""The artifact's layout and manifest: the bake writes them, the server reads them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from container.errors import LoadError

# Not manifest.json: multi-model-server takes any file of that name, at any depth, for a manifest
# in its legacy format, and stops.
MANIFEST = "bake-manifest.json"
WEIGHTS = "weights"
INDEX = "index"
CODE = "code"
VENDOR = "vendor"


def read_manifest(model_dir: Path) -> dict[str, Any]:
    """Reads the manifest. Raises LoadError when it is missing or not a JSON object."""
    try:
        manifest = json.loads((model_dir / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LoadError(f"{MANIFEST} cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise LoadError(f"{MANIFEST} is not a JSON object")
    return manifest


def check_bake(manifest: dict[str, Any], bake_id: str | None) -> None:
    """Raises LoadError unless the artifact is of the bake `bake_id`; `None` accepts any."""
    if bake_id is not None and manifest.get("bake_id") != bake_id:
        raise LoadError(
            f"the artifact is of bake {manifest.get('bake_id')}; the Model names bake {bake_id}"
        )


def file_hash(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
