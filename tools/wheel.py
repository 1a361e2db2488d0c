"""Builds the package `faq_search` with the parts of contract/ and corpus/ that it imports.

Hatchling calls it for `pip install .`. In a checkout these are packages beside faq_search.
Installed by their names they would take `contract` and `corpus` from everybody else; so the wheel
has them as `faq_search._shared.contract` and `faq_search._shared.corpus`, and its imports say so.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHARED = "faq_search._shared"
_DATA = ("faq_search/py.typed", "corpus/sample/*.csv")
_IMPORT = re.compile(
    r"^(?P<indent> *)from (?P<module>(?:contract|corpus)(?:\.\w+)*) import (?P<names>.*)$",
    re.MULTILINE,
)


class WheelHook(BuildHookInterface[Any]):
    """Hatchling's hook; see `[tool.hatch.build.targets.wheel]` in pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Names the files of the wheel. An editable install has the checkout itself."""
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        for name, content in wheel_files(Path(self.root)).items():
            file = Path(self._folder.name) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            build_data["force_include"][str(file)] = name

    def finalize(self, version: str, *_: object) -> None:
        """Removes what was written for the build."""
        if version != "editable":
            self._folder.cleanup()


def wheel_files(root: Path) -> dict[str, bytes]:
    """The files of the wheel by their names in it."""
    sources = {file: file.read_text("utf-8") for file in sorted(root.glob("faq_search/*.py"))}
    missing = list(sources.values())
    while missing:
        for file in _imported(missing.pop(), root):
            if file not in sources:
                sources[file] = file.read_text("utf-8")
                missing.append(sources[file])
    found = {file: _IMPORT.sub(_renamed, text).encode() for file, text in sources.items()}
    found |= {file: file.read_bytes() for pattern in _DATA for file in root.glob(pattern)}
    files = {_name(file.relative_to(root)): content for file, content in found.items()}
    return files | {f"{SHARED.replace('.', '/')}/__init__.py": b""}


def _imported(source: str, root: Path) -> Iterator[Path]:
    """The modules of contract/ and corpus/ that a source imports, and the packages around them."""
    for match in _IMPORT.finditer(source):
        module = root / match["module"].replace(".", "/")
        names = re.findall(r"\w+", match["names"])
        for file in (
            *(root / module.relative_to(root).parts[0] / "__init__.py", module.with_suffix(".py")),
            *(module / f"{name}.py" for name in names),
        ):
            if file.is_file():
                yield file


def _renamed(match: re.Match[str]) -> str:
    return f"{match['indent']}from {SHARED}.{match['module']} import {match['names']}"


def _name(place: Path) -> str:
    shared = Path() if place.parts[0] == "faq_search" else Path(SHARED.replace(".", "/"))
    return (shared / place).as_posix()
