"""Installs locked packages with uv, or with pip where there is no uv.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

# pip's option -> the variable by which uv takes the same. uv reads none of pip's configuration.
_UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
_COMMA_SEPARATED = {"UV_FIND_LINKS"}


def install(
    locks: Sequence[Path],
    *,
    python: Path = Path(sys.executable),
    target: Path | None = None,
    target_python: str = "",
    quiet: bool = False,
) -> None:
    """Installs every package of `locks`, which are complete and have hashes.

    Args:
        python: of the environment to install into.
        target: a folder that takes the packages instead, as they are for Linux x86_64 and
            `target_python` ("3.13").
        quiet: nothing but errors is shown, on standard error.

    Raises:
        InstallError: there is neither uv nor pip, or it failed; it has said why.
    """
    uv = find_uv(python)
    if uv:
        command = [*uv, "pip", "install", "--python", str(python)]
        environment = uv_environment(os.environ, pip_options(), python)
        if pip_options().get("no-index", "").lower() in ("1", "true", "yes", "on"):
            command.append("--no-index")
        platform = ["--python-platform", "x86_64-manylinux_2_28"]
    elif _has_module("pip", python):
        command = [str(python), "-m", "pip", "install", "--no-compile"]
        command += ["--disable-pip-version-check"]
        environment = dict(os.environ)
        platform = ["--implementation", "cp"]
        platform += ["--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"]
    else:
        raise InstallError(f"{python} has neither pip nor uv.")
    command += ["--no-deps", "--require-hashes", *(["--quiet"] if quiet else [])]
    if target:
        command += ["--target", str(target), "--python-version", target_python]
        command += ["--only-binary", ":all:", *platform]
    for lock in locks:
        command += ["--requirement", str(lock)]
    status = subprocess.run(
        command, env=environment, stdout=sys.stderr if quiet else None, check=False
    ).returncode
    if status:
        raise InstallError(f"{'uv' if uv else 'pip'} failed (exit code {status}).")
    if target:  # what uv leaves there and pip does not
        for file in (target / ".lock", *target.glob("*.dist-info/uv_*.json")):
            file.unlink(missing_ok=True)


class InstallError(Exception):
    """Packages were not installed; the message says why."""


def find_uv(python: Path) -> list[str] | None:
    """The command of the uv that an environment has, else of one on the PATH."""
    beside = python.with_name("uv")
    if beside.is_file():
        return [str(beside)]
    found = None if _has_module("pip", python) else shutil.which("uv")
    return [found] if found else None


def _has_module(name: str, python: Path) -> bool:
    if python == Path(sys.executable):
        return importlib.util.find_spec(name) is not None
    command = [str(python), "-c", f"import {name}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@cache
def pip_options() -> dict[str, str]:
    """What pip is configured with here, by files and environment: option -> value."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no pip, nothing configured
        return {}
    return parse_pip_options(listed)


def parse_pip_options(listed: str) -> dict[str, str]:
    """The options in the output of `pip config list`, such as `global.timeout='60'`."""
    found: dict[str, dict[str, str]] = {}
    for line in listed.splitlines():
        place, equals, value = line.partition("=")
        section, _, option = place.rpartition(".")
        if equals and section in ("global", "install", ":env:"):
            found.setdefault(section, {})[option] = str(ast.literal_eval(value))
    return {k: v for s in ("global", "install", ":env:") for k, v in found.get(s, {}).items()}


def uv_environment(
    environment: Mapping[str, str], options: Mapping[str, str], python: Path
) -> dict[str, str]:
    """The environment with which uv finds packages where pip would.

    What is set for uv itself stays.
    """
    ours = {}
    for option, variable in _UV_VARIABLES.items():
        if values := options.get(option, "").split():
            ours[variable] = ("," if variable in _COMMA_SEPARATED else " ").join(values)
    # Like pip, take a package from whichever index has the locked file; its hash is checked.
    ours["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    cache_folder = Path(environment.get("UV_CACHE_DIR") or environment.get("HOME") or "/")
    if not _same_disk(cache_folder, python):
        ours["UV_LINK_MODE"] = "copy"  # uv would warn that it cannot link
    return {**ours, **environment}


def _same_disk(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.parent.stat().st_dev
    except OSError:
        return False
