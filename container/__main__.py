"""The bake's entry point: `python3 code.zip`, where this file is the archive's `__main__`.

Unpacks the archive, because the artifact gets a copy of the code, and runs `container.bake.job`
from there.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path


def main() -> int:
    """Runs the bake and returns its exit status."""
    archive = Path(__file__).parent
    with tempfile.TemporaryDirectory(prefix="bake-code-") as folder:
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
        sys.path[0] = folder
        from container.bake.job import main as bake  # noqa: PLC0415 - importable only from here on

        return bake(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
