"""Links packages of this interpreter's environment where functions import them.

That concerns the packages of every Lambda runtime (boto3), and packages of a layer that were
compiled for another Python version or machine.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, parse_tag, sys_tags
from packaging.utils import canonicalize_name

from local_aws.service_errors import ApiError

_EXTENSION = re.compile(r"\.(so|pyd|dylib)$")


class UnusablePackageError(ApiError):
    """The function's code, layers or runtime cannot run on this machine."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "InvalidRuntimeException", 502)


def link_with_dependencies(names: Iterable[str], folder: Path) -> None:
    """Links distributions and everything they require (no extras) into `folder`.

    Raises:
        importlib.metadata.PackageNotFoundError: One of them is not installed here.
    """
    seen: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        link_distribution(distribution, folder)
        for line in distribution.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))


def link_distribution(distribution: metadata.Distribution, folder: Path) -> None:
    """Links one installed distribution into `folder`.

    Packages are linked as a whole; what may be shared between distributions (a folder without
    `__init__.py`) file by file.
    """
    for top in _top_levels(distribution):
        source = Path(str(distribution.locate_file(top)))
        if not source.exists():
            continue
        if source.is_file() or (source / "__init__.py").exists() or _is_whole(top.name):
            _link(source, folder / top)
        else:
            for file in distribution.files or ():
                if file.parts[0] == top.name:
                    _link(Path(str(distribution.locate_file(file))), folder / file)


def _top_levels(distribution: metadata.Distribution) -> Iterator[Path]:
    for name in sorted({file.parts[0] for file in distribution.files or ()}):
        if name not in {"..", "__pycache__"} and not Path(name).is_absolute():
            yield Path(name)


def _is_whole(name: str) -> bool:
    return name.endswith((".dist-info", ".libs"))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.symlink_to(source)


def fit_to_host(folder: Path) -> list[str]:
    """Replaces packages below `folder` whose compiled code this interpreter cannot load.

    Each is replaced by the same version of the distribution in this interpreter's environment.

    Returns:
        The replaced packages, as "name version".

    Raises:
        UnusablePackageError: That version is not installed here, or a compiled module belongs to
            no distribution.
    """
    found = sorted(folder.rglob("*.dist-info"))
    replaced = [_replace(info.parent, info) for info in found if not _fits(info)]
    for path in folder.rglob("*"):
        if _EXTENSION.search(path.name) and not path.is_symlink() and not _loads(path.name):
            raise UnusablePackageError(
                f"{path.relative_to(folder)} is compiled for another Python version, and no "
                "*.dist-info beside it names its package"
            )
    return replaced


def _fits(info: Path) -> bool:
    wheel = info / "WHEEL"
    if wheel.exists():
        lines = HeaderParser().parsestr(wheel.read_text(encoding="utf-8")).get_all("Tag", [])
        tags: set[Tag] = set().union(*(parse_tag(line) for line in lines))
        return not tags or not tags.isdisjoint(sys_tags())
    return all(_loads(path.name) for path in _compiled(info))


def _compiled(info: Path) -> Iterator[Path]:
    # Without WHEEL and RECORD there are only names: pydantic_core-2.1.dist-info, pydantic_core/.
    name = _key(info.name.split("-")[0])
    for entry in info.parent.iterdir():
        if _key(entry.name.split(".")[0]) == name and entry != info:
            found = entry.rglob("*") if entry.is_dir() else iter([entry])
            yield from (path for path in found if _EXTENSION.search(path.name))


def _key(name: str) -> str:
    return canonicalize_name(name).strip("-")


def _loads(file_name: str) -> bool:
    suffix = "." + file_name.split(".", 1)[1]
    return suffix in EXTENSION_SUFFIXES


def _replace(folder: Path, info: Path) -> str:
    described = HeaderParser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
    name, version = described["Name"], described["Version"]
    try:
        distribution = metadata.distribution(name)
        found = f"{distribution.version} is"
    except metadata.PackageNotFoundError:
        distribution = None
        found = "none is"
    if distribution is None or distribution.version != version:
        raise UnusablePackageError(
            f"{name} {version} in the function's package is compiled for another Python version "
            f"or machine. To run it here, install {name}=={version} into this environment; "
            f"{found} installed."
        )
    for top in _top_levels(distribution):
        shutil.rmtree(folder / top, ignore_errors=True)
        (folder / top).unlink(missing_ok=True)
        # A compiled module beside the packages has its Python's version in its name.
        for other in folder.glob(f"{top.name.partition('.')[0]}.*"):
            if _EXTENSION.search(other.name):
                other.unlink()
    # Packages in deployments often lack the files that *.dist-info lists.
    shutil.rmtree(info, ignore_errors=True)
    link_distribution(distribution, folder)
    return f"{name} {version}"
