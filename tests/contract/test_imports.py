"""The contract is in the zip of every function, which has nothing but Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMPORT_ALL = f"""
import importlib, pkgutil, sys
sys.path.insert(0, {str(ROOT)!r})
before = set(sys.modules)
import contract
for module in pkgutil.iter_modules(contract.__path__, "contract."):
    importlib.import_module(module.name)
packages = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*packages - sys.stdlib_module_names)
"""


def test_it_needs_the_standard_library_alone() -> None:
    # -S: without the packages of this environment.
    command = [sys.executable, "-I", "-S", "-c", IMPORT_ALL]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["contract"]
