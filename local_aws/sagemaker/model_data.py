"""The artifacts of models, each unpacked once for all endpoints and jobs."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_aws.sagemaker.storage import Location

_BUFFER = 1 << 20


class ModelDataError(Exception):
    """The artifact does not exist or cannot be unpacked, as the message says."""


def model_data(container: dict[str, Any]) -> Location | None:
    """The gzipped tar of a ContainerDefinition; None for a model without files.

    Raises:
        ValueError: The address is not in S3, or is a ModelDataSource.
    """
    if "ModelDataSource" in container:
        raise ValueError("the local AWS has no ModelDataSource: give a ModelDataUrl")
    url = container.get("ModelDataUrl")
    return None if url is None else Location.parse(url)


def version_of(s3: Any, location: Location) -> str | None:
    """The ETag of an object, if it exists."""
    try:
        head = s3.head_object(Bucket=location.bucket, Key=location.key)
    except ClientError:
        return None
    return str(head["ETag"])


@dataclass
class _Entry:
    folder: Path
    users: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    complete: bool = False


class ModelDataCache:
    """Folders of unpacked artifacts by content, removed after their last user.

    Users share a folder and must not write to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def acquire(self, s3: Any, location: Location) -> Path:
        """The folder with an artifact's files, to be released afterwards.

        Args:
            s3: The client of the model's role.

        Raises:
            ModelDataError: The artifact does not exist or cannot be unpacked.
        """
        version = version_of(s3, location)
        if version is None:
            raise ModelDataError(f"No model data at {location}.")
        key = hashlib.sha256(f"{location} {version}".encode()).hexdigest()[:24]
        with self._lock:
            entry = self._entries.setdefault(key, _Entry(self._folder / key))
            entry.users += 1
        try:
            with entry.lock:
                if not entry.complete:
                    _fetch(s3, location, entry.folder)
                    entry.complete = True
        except BaseException:
            self.release(entry.folder)
            raise
        return entry.folder

    def release(self, folder: Path) -> None:
        """Returns a folder from `acquire`."""
        with self._lock:
            entry = self._entries[folder.name]
            entry.users -= 1
            if entry.users == 0:
                del self._entries[folder.name]
                shutil.rmtree(folder, ignore_errors=True)


def _fetch(s3: Any, location: Location, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"]
        with tarfile.open(fileobj=body, mode="r|gz", bufsize=_BUFFER) as archive:
            # It copies the rest of its buffer at each read: one read must take all of it.
            archive.copybufsize = _BUFFER  # type: ignore[attr-defined]
            # Python before 3.11.4 has no filters; the archives come from this machine.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)  # noqa: S202  filtered by the line above
    except (tarfile.TarError, EOFError, OSError, ClientError) as error:
        message = f"Failed to extract model data from {location}: {error}"
        raise ModelDataError(message) from error
