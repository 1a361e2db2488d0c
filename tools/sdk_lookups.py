"""Compares a lock with the SageMaker SDK's own look-ups, which notebooks call.

They find images and models by other code than this project's. JumpStart's documents are handed to
them as files, since they would want AWS credentials to fetch them. The SDK takes seconds to import,
so that happens when it is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_TYPES = {"cpu": "ml.c6i.xlarge", "gpu": "ml.g5.2xlarge"}
_FOLDERS = (
    "AWS_JUMPSTART_MANIFEST_LOCAL_ROOT_DIR_OVERRIDE",
    "AWS_JUMPSTART_SPECS_LOCAL_ROOT_DIR_OVERRIDE",
)


def disagreements(
    lock: Mapping[str, Any],
    documents: Mapping[str, bytes],
    *,
    region: str,
    transformers: str,
    torch: str,
) -> Iterator[str]:
    """A line for each value of the lock that the SDK finds differently.

    Args:
        documents: JumpStart's manifest and the specifications that were read, by their keys in its
            bucket of `region`. Models without one are not compared.
        transformers, torch: versions of the image.
    """
    yield from _images(lock, transformers, torch)
    with _at_hand(documents):
        for model_id, model in lock["models"].items():
            if any(model["source"].endswith(f"/{key}") for key in documents):
                yield from _model(lock, model_id, model, region)


def _images(lock: Mapping[str, Any], transformers: str, torch: str) -> Iterator[str]:
    from sagemaker.core import image_uris

    for region, registry in lock["ecr_registries"].items():
        if "source" in registry:  # a region that the SDK does not know
            continue
        host = f"{registry['account']}.dkr.ecr.{region}.{registry['url_suffix']}"
        for processor, instance_type in _TYPES.items():
            ours = f"{host}/{lock['image']['repository']}:{lock['image'][f'{processor}_tag']}"
            theirs = image_uris.retrieve(
                "huggingface",
                region,
                version=transformers,
                base_framework_version=f"pytorch{torch}",
                image_scope="inference",
                instance_type=instance_type,
            )
            if theirs != ours:
                yield f"ecr_registries.{region}: the SDK's image is {theirs}, the lock's {ours}"


def _model(
    lock: Mapping[str, Any], model_id: str, model: Mapping[str, Any], region: str
) -> Iterator[str]:
    from sagemaker.core import instance_types, model_uris

    bucket = f"s3://{lock['content_bucket'].format(region=region)}/"
    # Where there are weights packed with JumpStart's own script, the SDK takes those.
    weights = "prepacked_key" if model["prepacked_key"] else "weights_key"
    asked = {
        # The newest version that this SDK can use.
        **{"model_id": model_id, "model_version": "*", "region": region},
        "tolerate_vulnerable_model": True,
    }
    for name, ours, theirs in (
        (
            weights,
            f"{bucket}{model[weights]}",
            model_uris.retrieve(**asked, model_scope="inference"),
        ),
        (
            "default_instance_type",
            model["default_instance_type"],
            instance_types.retrieve_default(**asked, scope="inference"),
        ),
        (
            "instance_types",
            model["instance_types"],
            instance_types.retrieve(**asked, scope="inference"),
        ),
    ):
        if theirs != ours:
            yield f"models.{model_id}.{name}: the SDK finds {theirs}, the lock has {ours}"


@contextmanager
def _at_hand(documents: Mapping[str, bytes]) -> Iterator[None]:
    """Has the SDK read JumpStart's documents from files."""
    with TemporaryDirectory() as folder:
        for key, content in documents.items():
            file = Path(folder, key)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        before = dict(os.environ)
        os.environ |= dict.fromkeys(_FOLDERS, folder)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before
