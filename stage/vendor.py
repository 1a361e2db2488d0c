"""Unpacks the packages that travel with our code: `python -m stage.vendor`.

Lambda's layer and the SageMaker container run on Linux x86_64 with a Python of their own, so their
packages are fetched as wheels for that platform, whatever this machine is. A zip that is there
already is left alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stage.bundles import CONTAINER_PACKAGES, LAYER, ROOT, Vendored, write_zip


def vendor(packages: Vendored) -> None:
    """Fetches and zips one set of packages, unless its zip is there.

    Raises subprocess.CalledProcessError when pip cannot install the locked wheels.
    """
    if packages.path.is_file():
        return
    print(f"Unpacking {packages.lock.relative_to(ROOT)} for Python {packages.python} …", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"),
                *("--require-hashes", "--only-binary=:all:", "--implementation", "cp"),
                *("--python-version", packages.python, "--disable-pip-version-check"),
                *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"),
                *("--target", str(target), "--requirement", str(packages.lock)),
            ],
            check=True,
        )
        for pattern in packages.left_out:
            for unwanted in list(target.glob(pattern)):
                if unwanted.is_dir():
                    shutil.rmtree(unwanted)
                else:
                    unwanted.unlink()
        files = (file for file in target.rglob("*") if file.is_file())
        write_zip(
            packages.path,
            {packages.folder + file.relative_to(target).as_posix(): file for file in files},
        )


if __name__ == "__main__":
    for each in (LAYER, CONTAINER_PACKAGES):
        vendor(each)
