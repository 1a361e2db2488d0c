"""What the SageMaker SDK knows of images and regions: data files of the package sagemaker-core.

They are read as files, without importing the package, which would take seconds.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

_PACKAGE = "sagemaker-core"
_IMAGES = "sagemaker/core/image_uri_config/huggingface.json"
_REGIONS = "sagemaker/core/jumpstart/region_config.json"


class TablesError(Exception):
    """The tables are not there, or not in the layout this tool knows."""


class ImageTable(BaseModel):
    """The inference image of one pair of transformers and torch versions.

    registries: region -> account. container_version: processor -> end of the tag.
    """

    repository: str
    registries: dict[str, str] = Field(min_length=1)
    py_versions: list[str] = Field(min_length=1)
    container_version: dict[str, str]

    def tag(self, processor: str, transformers: str, torch: str) -> str:
        """The image's tag for `cpu` or `gpu`."""
        python, end = self.py_versions[-1], self.container_version[processor]
        return f"{torch}-transformers{transformers}-{processor}-{python}-{end}"


class SdkTables(BaseModel):
    """The tables, and the `package==version` they were read from.

    content_buckets: region -> JumpStart's bucket.
    """

    source: str
    image: ImageTable
    content_buckets: dict[str, str] = Field(min_length=1)


def read_tables(transformers: str, torch: str) -> SdkTables:
    """The tables of the sagemaker-core that is installed.

    Raises:
        TablesError: it is not installed, does not know the versions, or has another layout.
    """
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError:
        raise TablesError(
            f"{_PACKAGE} is not installed: run this tool in the environment of "
            "requirements/walkthrough.txt, which `make .build/installed-walkthrough` makes"
        ) from None
    images, regions = (
        json.loads(Path(str(package.locate_file(name))).read_text(encoding="utf-8"))
        for name in (_IMAGES, _REGIONS)
    )
    return tables_of(f"{_PACKAGE}=={package.version}", images, regions, transformers, torch)


def tables_of(
    source: str, images: dict[str, Any], regions: dict[str, Any], transformers: str, torch: str
) -> SdkTables:
    """The tables in the package's two files, whose contents are `images` and `regions`."""
    try:
        return SdkTables(
            source=source,
            image=images["inference"]["versions"][transformers][f"pytorch{torch}"],
            content_buckets={name: table["content_bucket"] for name, table in regions.items()},
        )
    except (KeyError, ValidationError) as error:
        raise TablesError(
            f"{source} has no image of transformers {transformers} with torch {torch} in the "
            f"layout this tool knows: {error}"
        ) from None
