"""Unpacks functions and layers, each content once."""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
import threading
import uuid
import zipfile
from pathlib import Path

from local_aws.lambda_runtime.host_packages import (
    UnusablePackageError,
    fit_to_host,
    link_with_dependencies,
)
from local_aws.moto_adapter import LambdaFunction, LambdaLayer

logger = logging.getLogger(__name__)
_SITE = Path(__file__).parent / "site"


class Packages:
    """Folders with everything that functions import.

    Args:
        folder: Scratch; created if needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._site: Path | None = None

    def site(self) -> Path:
        """The packages of AWS's Python runtime: boto3, botocore and the runtime's client."""
        with self._lock:
            if self._site is None:
                self._site = self._folder / "site"
                link_with_dependencies(["boto3", "awslambdaric"], self._site)
                for compiled in self._site.glob("runtime_client.*"):
                    compiled.unlink()  # awslambdaric has it on some platforms; ours works on all
                for source in _SITE.glob("*.py"):
                    shutil.copy(source, self._site)
            return self._site

    def code(self, function: LambdaFunction) -> Path:
        """The unpacked code of a function.

        Raises:
            UnusablePackageError: It cannot be unpacked or run by this interpreter.
        """
        return self._unpack("code", function.name, function.code)

    def import_path(self, function: LambdaFunction) -> list[Path]:
        """The folders that a function imports from, in AWS's order, after the standard library.

        Raises:
            UnusablePackageError: A package cannot be unpacked or run by this interpreter.
        """
        folders = [self.code(function)]
        for layer in self._layers(function):
            folders += [layer / "python", *(layer / "python" / "lib").glob("*/site-packages")]
        return [folder for folder in folders if folder.is_dir()] + [self.site()]

    def _layers(self, function: LambdaFunction) -> list[Path]:
        # On AWS later layers overwrite earlier ones.
        return [self._unpack_layer(layer) for layer in reversed(function.layers)]

    def _unpack_layer(self, layer: LambdaLayer) -> Path:
        return self._unpack("layers", layer.arn, layer.content)

    def _unpack(self, kind: str, name: str, content: bytes) -> Path:
        target = self._folder / kind / hashlib.sha256(content).hexdigest()[:32]
        with self._lock:
            if target.exists():
                return target
            scratch = target.with_name(f".{uuid.uuid4().hex}")
            try:
                _extract(content, scratch)
                for replaced in fit_to_host(scratch):
                    logger.info("%s: uses %s of this environment", name, replaced)
                scratch.rename(target)
            except zipfile.BadZipFile as error:
                raise UnusablePackageError(f"{name}: the package is not a zip file") from error
            except UnusablePackageError as error:
                raise UnusablePackageError(f"{name}: {error}") from error
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        return target


def _extract(content: bytes, folder: Path) -> None:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, folder))
            mode = member.external_attr >> 16
            if mode & 0o111 and path.is_file():
                path.chmod(0o755)
