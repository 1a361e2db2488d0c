"""The packages from PyPI that travel with our code, as zips in `.build/`.

Lambda and the SageMaker container run on Linux x86_64 with their own Pythons, so their packages
are fetched as wheels for that platform, whatever this machine is. The first synth (or `make
install`) fetches them; after that none needs a network.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stage import bundles
from stage.bundles import ROOT, Bundle, BundleError, write_zip
from stage.installer import InstallError, install


@dataclass(frozen=True)
class Vendored:
    """A set of packages.

    name: of the zip. lock: the hash-locked requirements. python: the version it runs on.
    folder: where in the zip the packages lie. left_out: patterns of files not needed there.
    """

    name: str
    lock: Path
    python: str
    folder: str = ""
    left_out: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """64 hex digits: the lock has hashes, so lock and rules decide the contents."""
        rules = repr((self.python, self.folder, self.left_out))
        return hashlib.sha256(self.lock.read_bytes() + rules.encode()).hexdigest()

    @property
    def path(self) -> Path:
        """Where the zip lies once it was fetched."""
        return bundles.BUILD_DIRECTORY / f"{self.name}-{self.key[:16]}.zip"


# What differs by machine or installer, and what only an installer needs.
_INSTALLERS_OWN = (
    "bin",
    "**/__pycache__",
    "*.dist-info/RECORD",
    "*.dist-info/REQUESTED",
    "*.dist-info/INSTALLER",
    "*.dist-info/direct_url.json",
)
# python/ is where Lambda looks for a layer's Python packages.
LAYER = Vendored("layer", ROOT / "requirements/lambda.txt", "3.13", "python/", _INSTALLERS_OWN)
# Only where tokens are checked (`api.auth = "jwt"`).
TOKEN_LAYER = Vendored(
    "token-layer", ROOT / "requirements/authorizer.txt", "3.13", "python/", _INSTALLERS_OWN
)
# Of OpenVINO only the core and the CPU plugin: a third of the wheel.
CONTAINER_PACKAGES = Vendored(
    "vendor",
    ROOT / "requirements/container.txt",
    "3.12",
    left_out=(
        *_INSTALLERS_OWN,
        "openvino/libs/*intel_gpu*",
        "openvino/libs/*intel_npu*",
        "openvino/libs/*_frontend.so*",
        "openvino/libs/*auto*",
        "openvino/libs/*hetero*",
        "openvino/libs/cache.json",
        "openvino/frontend/*/",
    ),
)


def vendored_bundle(packages: Vendored) -> Bundle:
    """The zip of a set of packages, which is fetched unless it is there.

    Raises BundleError when it cannot be fetched.
    """
    if not packages.path.is_file():
        _fetch(packages)
    return Bundle(packages.path, packages.key)


def _fetch(packages: Vendored) -> None:
    lock = packages.lock.relative_to(ROOT)
    print(f"Fetching the packages of {lock}, once …", file=sys.stderr, flush=True)
    bundles.BUILD_DIRECTORY.mkdir(exist_ok=True)
    # Beside its result: uv links files from its cache where that is on the same disk.
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=bundles.BUILD_DIRECTORY) as scratch:
        target = Path(scratch)
        try:
            install([packages.lock], target=target, target_python=packages.python, quiet=True)
        except InstallError as error:
            raise BundleError(
                f"The packages of {lock} could not be fetched: {error} They come from PyPI (or"
                " where pip is configured to look), at the first synth only: try again online."
            ) from error
        for pattern in packages.left_out:
            for unwanted in list(target.glob(pattern)):
                if unwanted.is_dir():
                    shutil.rmtree(unwanted)
                else:
                    unwanted.unlink()
        files = (file for file in target.rglob("*") if file.is_file())
        names = {packages.folder + f.relative_to(target).as_posix(): f for f in files}
        write_zip(packages.path, names, compression=1)


def main() -> int:
    """Fetches whatever is missing: `python -m stage.vendor`."""
    try:
        for packages in (LAYER, TOKEN_LAYER, CONTAINER_PACKAGES):
            vendored_bundle(packages)
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
