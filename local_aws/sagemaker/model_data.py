"""Artifacts of models, unpacked once however many endpoints serve them."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_aws.sagemaker.storage import Location, download, find_objects, relative_name


class ModelDataError(Exception):
    """The artifact is not there or can not be unpacked; the message says which."""


@dataclass(frozen=True)
class ModelData:
    """Where a model's files are.

    Args:
        location: One gzipped tar, or with `prefix` everything below a key prefix, as it is.
    """

    location: Location
    prefix: bool = False

    @classmethod
    def of_container(cls, container: dict[str, Any]) -> ModelData | None:
        """From a ContainerDefinition; None for a model without files.

        Raises:
            ValueError: For an address that is not in S3.
        """
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        if source is not None:
            return cls(Location.parse(source["S3Uri"]), source["CompressionType"] == "None")
        url = container.get("ModelDataUrl")
        return None if url is None else cls(Location.parse(url))

    def versions(self, s3: Any) -> list[tuple[str, str]]:
        """(key, ETag) of every object of it, none when it is not there."""
        if self.prefix:
            return list(find_objects(s3, self.location))
        try:
            head = s3.head_object(Bucket=self.location.bucket, Key=self.location.key)
        except ClientError:
            return []
        return [(self.location.key, head["ETag"])]


@dataclass
class _Entry:
    folder: Path
    users: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    complete: bool = False


class ModelDataCache:
    """Folders of unpacked artifacts, by their content; gone with their last user.

    Endpoints share a folder and must not write to it.
    """

    def __init__(self, folder: Path, s3: Any) -> None:
        self._folder = folder
        self._s3 = s3
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def acquire(self, data: ModelData) -> Path:
        """The folder with the artifact's files; `release` it afterwards.

        Raises:
            ModelDataError: The artifact is not there or can not be unpacked.
        """
        versions = data.versions(self._s3)
        if not versions:
            place = f"s3://{data.location.bucket}/{data.location.key}"
            raise ModelDataError(f"No model data at {place}.")
        key = hashlib.sha256(repr((data, versions)).encode()).hexdigest()[:24]
        with self._lock:
            entry = self._entries.setdefault(key, _Entry(self._folder / key))
            entry.users += 1
        try:
            with entry.lock:
                if not entry.complete:
                    self._fetch(data, versions, entry.folder)
                    entry.complete = True
        except BaseException:
            self.release(entry.folder)
            raise
        return entry.folder

    def release(self, folder: Path) -> None:
        """Gives back what `acquire` gave."""
        with self._lock:
            entry = self._entries[folder.name]
            entry.users -= 1
            if entry.users == 0:
                del self._entries[folder.name]
                shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, data: ModelData, versions: list[tuple[str, str]], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        bucket = data.location.bucket
        try:
            if data.prefix:
                for key, _ in versions:
                    name = relative_name(key, data.location.key)
                    download(self._s3, Location(bucket, key), folder / name)
                return
            body = self._s3.get_object(Bucket=bucket, Key=data.location.key)["Body"]
            with tarfile.open(fileobj=body, mode="r|gz", bufsize=1 << 20) as archive:
                # Python before 3.11.4 has no filters; the archives are this machine's own.
                archive.extraction_filter = getattr(tarfile, "data_filter", None)
                archive.extractall(folder)  # noqa: S202  filtered by the line above
        except (tarfile.TarError, EOFError, OSError, ClientError) as error:
            place = f"s3://{bucket}/{data.location.key}"
            raise ModelDataError(f"Failed to extract model data from {place}: {error}") from error
